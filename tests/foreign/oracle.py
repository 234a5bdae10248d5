"""A second opinion: what the tables must say, computed from the inputs alone.

Written from the semantics in ARCHITECTURE.md and docs/measures.md in plain, slow Python; shares no code
with the engine. Reads NAME-PARTITION.jsonl files (offset = line number) or Kafka topics, and compares
every bucket, count, label and flip with the `panes` table, windows with panes, quantiles with exact ranks.

Facts of a live run let time pass where an input stood at its end, and its times may have changed: --facts
takes `parallax log -o json`.

Topics that aren't co-partitioned (--routed) are one task: the answers to a request may lie anywhere, time and
lateness are each partition's own.

Usage: oracle.py TABLES --files FOLDER | --kafka BROKERS --topics primary=T,v8=T  [--facts LOG.jsonl]
       [--wait 30 --skew 5 --pane 10] [--routed]
"""
import argparse, collections, json, math, pathlib, sys

US = 1_000_000
NEG = -(1 << 62)
COUNTRIES = ['BR', 'DE', 'GB', 'IN', 'US']
WORDS = {'primary', 'baseline', 'control', 'champion', 'stable', 'blue'}, {'candidate', 'shadow', 'canary', 'challenger', 'treatment', 'green'}


def read_files(folder, name):
    """-> {partition: [bytes or None]}"""
    logs = {}
    for path in pathlib.Path(folder).glob(f'{name}-*.jsonl'):
        lines = path.read_bytes().split(b'\n')[:-1]
        logs[int(path.stem.rsplit('-', 1)[1])] = [line or None for line in lines]
    return logs


def read_kafka(brokers, topic):
    from confluent_kafka import Consumer, TopicPartition
    c = Consumer({'bootstrap.servers': brokers, 'group.id': 'oracle', 'enable.auto.commit': False})
    logs = {}
    for p in c.list_topics(topic, timeout=10).topics[topic].partitions:
        low, high = c.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
        c.assign([TopicPartition(topic, p, low)])
        got = []
        while len(got) < high - low:
            got += [m.value() for m in c.consume(100_000, 1.0) if not m.error()]
        logs[p] = [v or None for v in got]
    return logs


def read_facts(path):
    """-> {(partition, input): [(offset, time, is the end)]}, in the order in which they are obeyed"""
    facts = collections.defaultdict(list)
    for e in map(json.loads, open(path)) if path else ():
        if e['kind'] == 'fact' and e['counts']: facts[e['stream'], e['input']].append((e['offset'], e['time_us'], e['end']))
    for of in facts.values(): of.sort(key=lambda fact: fact[0])
    return facts


class Times:
    """Pane, wait and skew by event time: the first of two tempos before `at`, the second from there on."""
    def __init__(self, before, at=NEG, tempo=None): self.before, self.at, self.tempo = before, at, tempo or before
    def of(self, t): return self.tempo if t >= self.at else self.before
    def pane(self, t): return NEG if t <= NEG else t // self.of(t)[0] * self.of(t)[0]
    def wait(self, t): return self.of(t)[1]
    def skew(self, t): return self.of(t)[2]
    def near(self, a, b): return abs(a - b) <= min(self.skew(a), self.skew(b))


def read_times(path, tempo):
    """The times that the evaluator put in force last; those of the command line if it never said any."""
    said = [e for e in map(json.loads, open(path)) if e['kind'] == 'retimes' and e['counts']] if path else []
    if not said: return Times(tempo)
    last, us = max(said, key=lambda e: e['revision']), lambda tempo: tuple(int(s * US) for s in tempo)
    return Times(us(last['before']), max(last['from_us'], NEG), us(last['tempo']))


def text(v):
    if isinstance(v, bool): return 'true' if v else 'false'
    return v if isinstance(v, str) else str(v) if isinstance(v, (int, float)) else None


def event_time(v):
    if isinstance(v, bool) or not isinstance(v, int) or v < 0: return None
    us = v * US if v < 10**11 else v * 1000 if v < 10**14 else v if v < 10**17 else v // 1000
    return us if us < 7_258_118_400 * US else None


def decode(value, name):
    """-> ('ok', id, ts, fields) | ('bad', id or None, ts or None)"""
    try: e = json.loads(value)
    except Exception: return 'bad', None, None
    if not isinstance(e, dict): return 'bad', None, None
    i, ts = text(e.get('request_id')), event_time(e.get('event_time'))
    i = i or None
    keep = i if i and len(i.encode()) <= 256 else None
    arm, lat = e.get('arm'), e.get('latency_ms')
    mine = WORDS[0] if name == 'primary' else WORDS[1] | {name}
    good = (i and keep and ts is not None and e.get('schema_version', 1) == 1 and (arm is None or arm in mine)
            and e.get('assignment', 'random') in ('random', 'override'))
    if not good: return 'bad', keep, ts
    failed = (e.get('status_code') or 0) >= 500 or bool(e.get('error_type'))
    label = None if failed else text((e.get('prediction') or {}).get('label')) or None
    country = (e.get('segments') or {}).get('country') or '__none__'
    # A latency that can't be is none; the answer counts.
    if not isinstance(lat, (int, float)) or lat < 0: lat = None
    us = None if lat is None else min(round(lat * 1000), 3600 * US)
    return 'ok', i, ts, (e.get('assignment') == 'override', failed, label, us, country)


class Clock:
    """Time of one partition: the running max, and what waits as a leap."""
    def __init__(self, wait): self.mx, self.wait, self.waiting = NEG, wait, []

    def feed(self, rec):
        """-> records let through as (rec, max before), records quarantined, the max at that time"""
        at, ts = self.mx, rec[1]
        if ts > at + self.wait(at):
            self.waiting.append(rec)
            return *self.believe(), at
        out, bad = [(rec, at)], []
        if ts > at:
            self.mx = ts
            bad = [r for r in self.waiting if r[1] > ts + self.wait(ts)]
            self.waiting = [r for r in self.waiting if r[1] <= ts + self.wait(ts)]
            out += self.release()
        return out, bad, at

    def believe(self):
        n = len(self.waiting)
        if n < 16 or (n > 64 and n % 8): return [], []
        times = sorted(r[1] for r in self.waiting)
        low, mid = times[n // 8], times[n // 2]
        if n < 65536:
            if 2 * (mid - low) < self.wait(self.mx): return [], []
            part = times[n // 8:n // 2 + 1]
            if 2 * max(b - a for a, b in zip(part, part[1:])) > mid - low: return [], []
        top = mid + 4 * (mid - low) + self.wait(self.mx)
        bad = [r for r in self.waiting if r[1] > top]
        self.waiting = [r for r in self.waiting if r[1] <= top]
        return self.release(), bad

    def obey(self, time, end):
        """A fact: time passes to it, and what waits and isn't a leap any more is believed."""
        out = self.release(math.inf if end else time + self.wait(time))
        self.mx = max(self.mx, time)
        return out

    def release(self, top=math.inf):
        out = []
        for r in self.waiting:
            if r[1] <= top: out.append((r, self.mx)); self.mx = max(self.mx, r[1])
        self.waiting = [r for r in self.waiting if r[1] > top]
        return out


def groups(logs, names, routed):
    """Tasks: by name the partitions that each reads, and which input of it each is."""
    if not routed: return [(p, {n: {p: k} for k, n in enumerate(names)}) for p in logs[names[0]]]
    feeds, number = {}, 0
    for n in names:
        feeds[n] = {p: number + p for p in sorted(logs[n])}
        number += len(logs[n])
    return [(0, feeds)]


def judge(logs, names, times, facts, routed):
    floor = times.pane
    side = {n: collections.Counter() for n in names}          # (pane, bucket) -> n
    joined = collections.defaultdict(lambda: collections.Counter())   # (pane, country or '') -> what -> n
    lat = collections.defaultdict(list)
    name = names[1]
    for task, inputs in groups(logs, names, routed):
        seen = {n: [] for n in names}; unreadable = {n: collections.defaultdict(list) for n in names}; overrides = collections.defaultdict(list)
        for n, p in ((n, p) for n in names for p in inputs[n]):
            clock, due = Clock(times.wait), collections.deque(facts.get((task, inputs[n][p]), ()))
            def through(out):
                for rec, before in out:
                    o, ts, i, fields = rec
                    late = ts < before - times.wait(ts)
                    if fields is None:
                        side[n][floor(max(before, ts)), 'undecodable'] += 1
                        if not late: unreadable[n][i].append(ts)
                    elif late: side[n][floor(max(before, ts)), 'late'] += 1
                    elif fields[0]: side[n][floor(max(before, ts)), 'override'] += 1; overrides[i].append(ts)
                    else: seen[n].append((ts, p, o, i, fields))
            for o, value in enumerate(logs[n][p]):
                while due and due[0][0] <= o: through(clock.obey(*due.popleft()[1:]))
                got = decode(value, n) if value else ('bad', None, None)
                if got[0] == 'bad' and (got[1] is None or got[2] is None):
                    side[n][floor(clock.mx), 'undecodable'] += 1
                    continue
                out, bad, at = clock.feed((o, got[2], got[1], got[3] if got[0] == 'ok' else None))
                for r in bad: side[n][floor(at), 'quarantined' if r[3] else 'undecodable'] += 1
                through(out)
            for _, time, end in due: through(clock.obey(time, end))
            through(clock.release())
        forced = lambda i, ts: any(times.near(u, ts) for u in overrides.get(i, ()))
        firsts = {}
        for n in names:
            reach, first = {}, collections.defaultdict(list)
            for ts, _, _, i, f in sorted(seen[n], key=lambda r: r[:3]):
                if ts - times.skew(ts) <= reach.get(i, NEG): side[n][floor(ts), 'override' if forced(i, ts) else 'duplicate'] += 1
                else: first[i].append((ts, f))
                reach[i] = max(reach.get(i, NEG), ts + times.skew(ts))
            firsts[n] = first
        P, C = firsts[names[0]], firsts[name]
        near = lambda ts, others: next((x for x in others if times.near(x[0], ts)), None)
        def add(ts, country, k, n=1):
            country = country if country in COUNTRIES or country == '__none__' else '__other__'
            for seg in ('', country): joined[floor(ts), seg][k] += n
        def count(ts, country, arm, f):
            add(ts, country, (arm, 'requests'))
            if f[1]: return add(ts, country, (arm, 'failed'))
            add(ts, country, (arm, 'label', f[2]) if f[2] else (arm, 'null'))
            if f[3] is not None: lat[floor(ts), arm].append(f[3])
        for i, mine in P.items():
            for ts, f in mine:
                other = near(ts, C.get(i, ()))
                if forced(i, ts):       # what either arm was forced to do is set aside in both
                    for n in names if other else names[:1]: side[n][floor(ts), 'override'] += 1
                    continue
                count(ts, f[4], 'primary', f)
                if other is None:
                    why = any(times.near(u, ts) for u in unreadable[name].get(i, ()))
                    add(ts, f[4], 'unmatched_unreadable' if why else 'unmatched_missing'); continue
                g = other[1]; count(ts, f[4], 'candidate', g); add(ts, f[4], 'paired')
                if g[1] and not f[1]: add(ts, f[4], 'candidate_only_failed')
                if f[1] and not g[1]: add(ts, f[4], 'primary_only_failed')
                if f[2] and g[2]:
                    add(ts, f[4], 'comparable')
                    add(ts, f[4], 'matched' if f[2] == g[2] else ('flip', f[2], g[2]))
        for i, theirs in C.items():
            for ts, g in theirs:
                if near(ts, P.get(i, ())) is None:
                    if forced(i, ts): side[name][floor(ts), 'override'] += 1; continue
                    count(ts, g[4], 'candidate', g); add(ts, g[4], 'orphans')
    return side, joined, lat


def main():
    a = argparse.ArgumentParser()
    a.add_argument('tables'); a.add_argument('--files'); a.add_argument('--kafka'); a.add_argument('--topics'); a.add_argument('--facts')
    a.add_argument('--candidate', default='v8'); a.add_argument('--routed', action='store_true')
    for k, v in (('wait', 30), ('skew', 5), ('pane', 10)): a.add_argument('--' + k, type=float, default=v)
    a = a.parse_args(); names = ['primary', a.candidate]
    topics = dict(t.split('=') for t in a.topics.split(',')) if a.topics else {}
    logs = {n: read_kafka(a.kafka, topics[n]) if a.kafka else read_files(a.files, n) for n in names}
    side, joined, lat = judge(logs, names, read_times(a.facts, tuple(int(s * US) for s in (a.pane, a.wait, a.skew))), read_facts(a.facts), a.routed)
    import duckdb
    con = duckdb.connect(); con.sql("set timezone='UTC'")
    q = f"select *, coalesce(epoch_us(pane_start), {NEG}) p from read_parquet('{a.tables}/panes/**/*.parquet') where candidate = '{a.candidate}'"
    rows, cols = con.sql(q).fetchall(), con.sql(q).columns
    checks, wrong = 0, []
    def same(what, got, want):
        nonlocal checks
        checks += 1
        if got != want: wrong.append(f'{what}: table {got}, oracle {want}')
    got = {(r['p'], r['segment_value']): r for r in (dict(zip(cols, row)) for row in rows)}
    same('panes are unique', len(rows), len(got))
    sides = {p for n in names for (p, _) in side[n]}
    same('panes and segments', sorted(got), sorted(set(joined) | {(p, '') for p, _ in joined} | {(p, '') for p in sides}))
    plain = ['paired', 'comparable', 'matched', 'orphans', 'unmatched_missing', 'unmatched_unreadable', 'candidate_only_failed', 'primary_only_failed']
    total = collections.Counter()
    for (p, seg), r in sorted(got.items()):
        want, at = joined.get((p, seg), collections.Counter()), f'pane {p} {seg}'
        for k in plain: same(f'{at} {k}', r[k], want[k])
        for arm in ('primary', 'candidate'):
            for k in ('requests', 'failed', 'null'): same(f'{at} {arm} {k}', r[f'{arm}_{k}'], want[arm, k])
            same(f'{at} {arm} labels', {x['label']: x['count'] for x in r[f'{arm}_labels']}, {k[2]: v for k, v in want.items() if k[:2] == (arm, 'label')})
        same(f'{at} flips', {(x['primary'], x['candidate']): x['count'] for x in r['flips']}, {k[1:]: v for k, v in want.items() if k[0] == 'flip'})
        if seg: continue
        for arm, n, alone in (('primary', names[0], 'unmatched'), ('candidate', names[1], 'orphan')):
            for b in ('undecodable', 'quarantined', 'late', 'override', 'duplicate'):
                same(f'{at} {arm} {b}', r[f'{arm}_records_{b}'], side[n][p, b]); total[n] += r[f'{arm}_records_{b}']
            lonely = want['orphans'] if arm == 'candidate' else want['unmatched_missing'] + want['unmatched_unreadable']
            same(f'{at} {arm} paired', r[f'{arm}_records_paired'], want['paired'])
            same(f'{at} {arm} {alone}', r[f'{arm}_records_{alone}'], lonely)
            total[n] += want['paired'] + lonely
    for n in names: same(f'{n}: every record is in one bucket', total[n], sum(map(len, logs[n].values())))
    W = "read_parquet('%s/windows/**/*.parquet')" % a.tables
    for (start, end, arm99, n) in con.sql(f"select epoch_us(window_start), epoch_us(window_end), candidate_latency_p99_ms, candidate_latency_count from {W} where segment_key = '' and candidate = '{a.candidate}' qualify revision = max(revision) over (partition by window_start, window_size_s)").fetchall():
        values = sorted(v for (p, arm), vs in lat.items() if arm == 'candidate' and start <= p < end for v in vs)
        same(f'window {start} latencies', n, len(values))
        if values:
            exact = values[math.ceil(0.99 * len(values)) - 1] / 1000
            same(f'window {start} p99 within HDR precision', exact * 0.9999 <= arm99 <= exact * 1.008 + 0.001, True)
    pairs = con.sql(f"select coalesce(sum(n), 0), count(*) from (select request_id, pane_start, status, partition, count(*) n from read_parquet('{a.tables}/pairs/**/*.parquet') where candidate = '{a.candidate}' group by all)").fetchall()[0]
    same('pair rows are unique', pairs[0], pairs[1])
    for status, key in (('unmatched', ('unmatched_missing', 'unmatched_unreadable')), ('orphan', ('orphans',))):
        n = con.sql(f"select count(*) from read_parquet('{a.tables}/pairs/**/*.parquet') where candidate = '{a.candidate}' and status = '{status}'").fetchall()[0][0]
        same(f'pair rows {status}', n, sum(c[k] for (p, s), c in joined.items() if not s for k in key))
    if a.routed:
        rows = con.sql(f"select request_id, primary_partition, primary_offset, candidate_partition, candidate_offset from read_parquet('{a.tables}/pairs/**/*.parquet') where candidate = '{a.candidate}'").fetchall()
        for i, *places in rows:
            for n, p, o in zip(names, places[::2], places[1::2]):
                if o is not None: same(f'pair row {i} of {n} lies in {p} at {o}', decode(logs[n][p][o], n)[1], i)
        same('some pairs lie in different partitions', any(r[1] is not None and r[3] is not None and r[1] != r[3] for r in rows), True)
    for line in wrong[:20]: print('DIFFERS', line)
    print({n: sum(map(len, logs[n].values())) for n in names}, 'records', {k: sum(v for (p, b), v in side[names[0]].items() if b == k) for k in ('undecodable', 'quarantined', 'late', 'override', 'duplicate')})
    print(f'{checks - len(wrong)} passed, {len(wrong)} failed')
    sys.exit(bool(wrong))


if __name__ == '__main__': main()
