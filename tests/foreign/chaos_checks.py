"""What a chaos run left behind: do tables, signals and facts say what they must? Prints the report.

Usage: chaos_checks.py --bin PARALLAX --brokers BROKERS --work DIR
"""
import argparse, collections, json, pathlib, subprocess, sys

IDLE_AFTER, TOLERANCE = 3.0, 2.0        # seconds; the first as in chaos.py's pipeline
failed = 0


def check(what, problems, said=''):
    global failed
    problems = list(problems); failed += bool(problems)
    print(f"{'FAILED' if problems else 'ok    '}  {what}  {said}")
    for problem in problems[:8]: print('        ', problem)


def read(brokers, topic, take):
    """-> {partition: [take(message)]}"""
    from confluent_kafka import Consumer, TopicPartition
    c, out = Consumer({'bootstrap.servers': brokers, 'group.id': 'chaos-checks', 'enable.auto.commit': False}), {}
    for p in c.list_topics(topic, timeout=10).topics[topic].partitions:
        low, high = c.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
        c.assign([TopicPartition(topic, p, low)]); out[p] = []
        while len(out[p]) < high - low: out[p] += [take(m) for m in c.consume(50_000, 1.0) if not m.error()]
    return out


def signals(brokers, tables):
    import duckdb
    first, bytes_of, repeats, bad, last = {}, {}, 0, [], collections.defaultdict(int)
    for m in read(brokers, 'chaos.control', lambda m: m)[0]:
        headers, data = dict(m.headers() or []), json.loads(m.value())
        i = headers['ce_id'].decode()
        whole = (m.key(), m.value(), sorted(headers.items()))
        if i in first:
            repeats += 1
            if bytes_of[i] != whole: bad.append(f'{i} was repeated with other bytes')
            continue
        first[i], bytes_of[i] = data, whole
        if data['sequence'] <= last[m.key()]: bad.append(f"{i} has sequence {data['sequence']} after {last[m.key()]}")
        last[m.key()] = data['sequence']
    rows = {r[0] for r in duckdb.sql(f"select signal_id from read_parquet('{tables}/decisions/**/*.parquet') where signal_id is not null").fetchall()}
    if not first: bad.append('there are none')
    bad += [f'{i} is only on the topic' for i in set(first) - rows] + [f'{i} is only in the table' for i in rows - set(first)]
    actions = collections.Counter((d['action'], d['model_version']) for d in first.values())
    check('signals equal decisions, repeats are identical, sequences ascend', bad, f'{len(first)} signals, {repeats} repeats, {dict(actions)}')


def audit(brokers, facts):
    """No record at or after a fact's offset was appended before the fact was confirmed."""
    bad, worst = [], None
    for n, topic in enumerate(('chaos.primary', 'chaos.v8')):
        stamps = read(brokers, topic, lambda m: m.timestamp())
        if any(kind != 2 for p in stamps.values() for kind, _ in p): bad.append(f'{topic} has no append times')
        for f in facts:
            if f['input'] != n or f['end']: continue
            confirmed = f['time_us'] / 1e6 + IDLE_AFTER
            after = min((ms for _, ms in stamps[f['stream']][f['offset']:]), default=None)
            if after is None: continue
            margin = after / 1e3 - confirmed
            worst = margin if worst is None else min(worst, margin)
            if margin < -TOLERANCE: bad.append(f'{f}: a record was appended {-margin:.2f} s before the confirmation')
    check('no record that a fact passed over was there before', bad, f'the closest came {worst:.2f} s after' if worst is not None else '')


def recovery(entries, happened):
    """Seconds around each kill in which a task's log stood still: its owner was gone."""
    stamps = collections.defaultdict(list)
    for e in entries:
        if e['counts'] and e['kind'] == 'vitals' and e['appended_ms']: stamps[e['stream']].append(e['appended_ms'] / 1e3)
    took = []
    for at, kind, _ in happened:
        if kind != 'kill': continue
        gaps = [b - a for s in stamps.values() for a, b in zip(s, s[1:]) if a <= at + 1 < b]
        if gaps: took.append(max(gaps))
    took.sort()
    return f'p50 {took[len(took) // 2]:.1f}, longest {took[-1]:.1f} s without vitals of the slowest task (session 6 s)' if took else 'none'


def main():
    a = argparse.ArgumentParser()
    for name in ('bin', 'brokers', 'work'): a.add_argument('--' + name, required=True)
    a = a.parse_args(); work = pathlib.Path(a.work); out = work / 'out'
    ran = json.loads((work / 'chaos.json').read_text()); kinds = collections.Counter(kind for _, kind, _ in ran['happened'])
    print(f"chaos: {ran['seconds']:.0f} s, seed {ran['seed']}, {ran['nodes']} node(s): {kinds['kill']} kill -9, {kinds['wake']} zombies, "
          f"{kinds['join']} joins, {kinds['leave']} leaves, {kinds['broker']} broker restarts")
    with open(work / 'log.jsonl', 'w') as f: subprocess.run([a.bin, 'log', str(work / 'chaos.yaml'), '--all', '-o', 'json'], stdout=f, check=True)
    entries = [json.loads(line) for line in open(work / 'log.jsonl')]
    facts = [e for e in entries if e['kind'] == 'fact' and e['counts']]
    claims = sum(e['kind'] == 'claim' for e in entries)
    print(f"log: {len(entries)} entries, {claims} claims, {sum(not e['counts'] for e in entries)} ignored, {len(facts)} facts "
          f"({sum(f['end'] for f in facts)} of the end)")
    print('recovery after kill -9:', recovery(entries, ran['happened']))
    check('no process ended by itself', [f'instance-{s}-{n}.log: {code}' for s, n, code in ran['unplanned']], f"load {ran['load']}")
    check('no reader ever saw a half file', ran['reader']['bad'], json.dumps({k: v for k, v in ran['reader'].items() if k != 'bad'}))
    check('no stage is left', [str(p) for p in (out / '.staging').rglob('*') if p.is_file()])
    oracle = subprocess.run([sys.executable, 'tests/foreign/oracle.py', str(out), '--kafka', a.brokers, '--topics', 'primary=chaos.primary,v8=chaos.v8', '--facts',
        str(work / 'log.jsonl'), '--wait', '5', '--skew', '1', '--pane', '2'], capture_output=True, text=True)
    lines = (oracle.stdout + oracle.stderr[-2000:]).strip().split('\n')
    check('tables equal the oracle', lines if oracle.returncode else [], ' '.join(lines[-2:]))
    signals(a.brokers, out)
    audit(a.brokers, facts)
    import duckdb
    print('tables:', ', '.join(f"{duckdb.sql(f'''select count(*) from read_parquet('{out}/{t}/**/*.parquet')''').fetchall()[0][0]} {t}" for t in ('windows', 'panes', 'pairs', 'decisions')))
    print('chaos:', f'{failed} FAILED' if failed else 'nothing differs')
    sys.exit(bool(failed))


if __name__ == '__main__': main()
