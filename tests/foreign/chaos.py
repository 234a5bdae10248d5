"""Runs a pipeline as several processes under live load, and hurts them by a seeded schedule.

kill -9 and a restart; SIGSTOP longer than the session, then SIGCONT; processes that join and leave;
broker restarts. A reader polls the tables all the while. What happened goes to WORK/chaos.json, which
chaos_checks.py holds against the topics and tables. Called by scripts/chaos.
"""
import argparse, collections, heapq, itertools, json, os, pathlib, random, signal, subprocess, sys, threading, time

PIPELINE = """\
pipeline: chaos
kafka: {{brokers: "{brokers}", session: 6s}}
threads: ${{THREADS:-1}}
primary: {{topic: chaos.primary}}
candidates: {{v8: {{topic: chaos.v8}}}}
time: {{pane: 2s, wait: 5s, skew: 1s, idle_after: 3s}}
windows: [10s]
segments: {{country: {{declared: [BR, DE, GB, IN, US]}}}}
rollback_when:
  - error_rate > 5%
  - latency_p99 > 2x primary
investigate_when:
  - match_rate < 95% in country=BR
output: {{directory: {work}/out, roll: 10s}}
control: {{topic: chaos.control}}
dead_letters: {{topic: chaos.letters}}
log: {{topic: chaos.log}}
http: {{listen: none}}
"""
ZOMBIE_SECONDS = (8, 11)        # the session is 6 s
SETTLE, CALM = 8, 14            # nothing happens before and after so many seconds


def arguments():
    a = argparse.ArgumentParser()
    for name in ('bin', 'brokers', 'kafka-dir', 'work'): a.add_argument('--' + name, required=True)
    for name, value in (('nodes', 1), ('instances', 2), ('kills', 8), ('zombies', 2), ('joins', 2), ('broker-restarts', 0),
                        ('seconds', 130), ('rate', 1500), ('seed', 1)): a.add_argument('--' + name, type=int, default=value)
    return a.parse_args()


def create_topics(brokers):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin, stamped = AdminClient({'bootstrap.servers': brokers}), {'message.timestamp.type': 'LogAppendTime'}
    topics = [NewTopic(f'chaos.{t}', 8, config=stamped) for t in ('primary', 'v8')] + [NewTopic(f'chaos.{t}', 1) for t in ('control', 'letters')]
    for made in admin.create_topics(topics).values(): made.result(30)


class Instances:
    """Processes of the pipeline, by slot; each start has a log of its own."""

    def __init__(self, a):
        self.a, self.live, self.stopped, self.starts, self.unplanned = a, {}, set(), collections.Counter(), []

    def start(self, slot):
        self.starts[slot] += 1
        log = open(f'{self.a.work}/instance-{slot}-{self.starts[slot]}.log', 'w')
        # Every other process has two workers, which are two members of the group.
        threads = {**os.environ, 'THREADS': str(1 + slot % 2)}
        self.live[slot] = subprocess.Popen([self.a.bin, 'run', f'{self.a.work}/chaos.yaml'], stdout=log, stderr=log, env=threads)

    def able(self): return sorted(set(self.live) - self.stopped)

    def signal(self, slot, number):
        self.live[slot].send_signal(number)

    def end(self, slot, number, seconds=40):
        """Ends one; a process that doesn't leave in time is a finding."""
        process = self.live.pop(slot); self.stopped.discard(slot)
        process.send_signal(number)
        try: code = process.wait(seconds)
        except subprocess.TimeoutExpired: process.kill(); code = 'did not leave'; process.wait()
        if code not in (0, -9) or (code == -9 and number != signal.SIGKILL): self.unplanned.append((slot, self.starts[slot], code))

    def look(self):
        """Restarts what ended by itself, which nothing here may lead to."""
        for slot, process in list(self.live.items()):
            if process.poll() is not None:
                self.unplanned.append((slot, self.starts[slot], process.returncode)); del self.live[slot]; self.start(slot)


class Reader(threading.Thread):
    """Opens every table file as soon as it can be seen; none may ever be half."""

    def __init__(self, out):
        super().__init__(daemon=True)
        self.out, self.read, self.gone, self.bad, self.done, self.queries = out, 0, 0, [], False, 0

    def run(self):
        import duckdb, pyarrow.parquet as pq
        con, seen, rounds = duckdb.connect(), set(), 0
        while not self.done:
            for path in self.out.rglob('*.parquet'):
                try: key = (path, path.stat().st_ino)
                except FileNotFoundError: continue
                if key in seen: continue
                seen.add(key)
                try: pq.read_table(path, partitioning=None); self.read += 1
                except FileNotFoundError: self.gone += 1
                except Exception as e: self.bad.append(f'{path}: {e}')
            rounds += 1
            if rounds % 8 == 0 and (self.out / 'panes').exists():
                try: con.sql(f"select count(*), sum(paired) from read_parquet('{self.out}/panes/**/*.parquet')").fetchall(); self.queries += 1
                except Exception as e:
                    if 'No such file' not in str(e) and 'No files found' not in str(e): self.bad.append(str(e)[:300])
            time.sleep(0.25)


def schedule(a, rng):
    """-> [(seconds from the start, what)], spread evenly, shuffled."""
    kinds = ['kill'] * a.kills + ['zombie'] * a.zombies + ['join'] * a.joins + ['broker'] * a.broker_restarts
    rng.shuffle(kinds)
    step = (a.seconds - SETTLE - CALM) / max(1, len(kinds))
    return [(SETTLE + step * (n + rng.random() * 0.8), kind) for n, kind in enumerate(kinds)]


def main():
    a = arguments(); work = pathlib.Path(a.work); rng = random.Random(a.seed)
    (work / 'chaos.yaml').write_text(PIPELINE.format(brokers=a.brokers, work=work))
    create_topics(a.brokers)
    s = a.seconds
    faults = f'''--missing 2% --duplicate 1% --disorder 1s --wait 5s --beyond-wait 0.2% --clock-ahead 1h --broken 0.1% --override 0.5% --override-in-one-arm 0.5%
        --silence 15s@{s * 2 // 5}s --errors 30%@{s // 3}s --wrong 20%@{s // 2}s:country=BR --new-version v9@{s * 2 // 3}s'''.split()
    load = subprocess.Popen([a.bin, 'generate', '--brokers', a.brokers, '--topics', 'chaos.primary,chaos.v8', '--live', '--seed', str(a.seed), '--requests',
        str(a.rate * s), '--rate', str(a.rate), '--partitions', '8', '-o', 'json', *faults], stdout=open(work / 'generated.json', 'w'), stderr=open(work / 'generate.log', 'w'))
    reader = Reader(work / 'out'); reader.start()
    instances, happened, extra, restarting = Instances(a), [], itertools.count(a.instances), None
    for slot in range(a.instances): instances.start(slot)
    begun, order = time.time(), itertools.count()
    todo = [(begun + at, next(order), kind, None) for at, kind in schedule(a, rng)]
    heapq.heapify(todo)
    later = lambda seconds, kind, slot: heapq.heappush(todo, (time.time() + seconds, next(order), kind, slot))
    while todo or load.poll() is None:
        time.sleep(0.05); instances.look()
        if not todo or time.time() < todo[0][0]: continue
        _, _, kind, slot = heapq.heappop(todo); able = instances.able()
        if kind in ('kill', 'zombie') and not able: later(1, kind, None); continue
        if kind == 'broker' and restarting and restarting.poll() is None: later(3, kind, None); continue
        if kind == 'kill':
            slot = rng.choice(able); instances.end(slot, signal.SIGKILL); later(rng.choice([0.2, 1, 3, 7]), 'start', slot)
        elif kind == 'zombie':
            slot = rng.choice(able); instances.signal(slot, signal.SIGSTOP); instances.stopped.add(slot); later(rng.uniform(*ZOMBIE_SECONDS), 'wake', slot)
        elif kind == 'join':
            slot = next(extra); instances.start(slot); later(rng.uniform(4, 12), 'leave', slot)
        elif kind == 'broker':
            slot = rng.randint(1, a.nodes)
            hard = ['--hard'] if rng.random() < 0.5 else []
            restarting = subprocess.Popen(['scripts/kafka', 'restart-broker', str(slot), '--dir', a.kafka_dir, *hard], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elif kind == 'start': instances.start(slot)
        elif kind == 'wake': instances.signal(slot, signal.SIGCONT); instances.stopped.discard(slot)
        elif kind == 'leave':
            if slot in instances.stopped: later(2, kind, slot); continue
            if slot not in instances.live: later(2, kind, slot); continue
            instances.end(slot, signal.SIGTERM)
        happened.append((time.time(), kind, slot))
        print(f'{time.time() - begun:7.1f} s  {kind} {slot}', file=sys.stderr, flush=True)
    if restarting: restarting.wait()
    time.sleep(5)
    for slot in list(instances.live): instances.end(slot, signal.SIGTERM)
    with open(work / 'until-end.log', 'w') as log:
        code = subprocess.run([a.bin, 'run', str(work / 'chaos.yaml'), '--until-end'], stdout=log, stderr=log, timeout=240).returncode
    if code: instances.unplanned.append(('until-end', 1, code))
    time.sleep(1); reader.done = True; reader.join()
    json.dump({'seconds': time.time() - begun, 'happened': happened, 'unplanned': instances.unplanned, 'load': load.returncode, 'seed': a.seed, 'nodes': a.nodes,
        'reader': {'files': reader.read, 'taken back meanwhile': reader.gone, 'queries': reader.queries, 'bad': reader.bad}}, open(work / 'chaos.json', 'w'))


if __name__ == '__main__': main()
