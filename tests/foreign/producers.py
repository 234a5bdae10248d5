"""What real producers do: transactions, another partitioner, topics that are old when they are first read.

One scenario each, with topics and a `parallax run` of its own, all at the same time on one cluster. Both arms
answer every request alike unless a scenario says otherwise. Everything waits for conditions, each with a
deadline.

Usage: producers.py --bin PARALLAX --brokers BROKERS --work DIR [--only NAME]…
"""
import argparse, concurrent.futures, contextlib, json, pathlib, re, sys, threading, time, traceback

from chaos_checks import read
from faults_process import ARMS, Process, Wrong, until

PIPELINE = """\
pipeline: producers
kafka: {{brokers: "{brokers}", session: 6s, group: "{name}"}}
primary: {{topic: {name}.primary}}
candidates: {{v8: {{topic: {name}.v8}}}}
time: {{pane: 2s, wait: 5s, skew: 1s, idle_after: 2s}}
windows: [10s]
rollback_when:
  - error_rate > 5%
output: {{directory: "{out}", roll: 10s}}
control: {{topic: {name}.control}}
dead_letters: {{topic: {name}.letters}}
log: {{topic: {name}.log}}
http: {{listen: "127.0.0.1:0"}}
"""
SCENARIOS = {}


def scenario(f):
    SCENARIOS[f.__name__.replace('_', '-')] = f
    return f


class Scenario:
    """Topics, a pipeline file, processes."""

    def __init__(self, args, name):
        from types import SimpleNamespace
        self.world, self.brokers, self.name, self.processes, self.said = SimpleNamespace(bin=args.bin), args.brokers, name, [], []
        self.folder = pathlib.Path(args.work) / name; self.folder.mkdir(parents=True, exist_ok=True)
        self.out, self.yaml = self.folder / 'out', self.folder / 'pipeline.yaml'
        self.yaml.write_text(PIPELINE.format(brokers=self.brokers, name=name, out=self.out))

    def topics(self, partitions=2):
        from confluent_kafka.admin import AdminClient, NewTopic
        self.partitions = partitions
        made = [NewTopic(f'{self.name}.{t}', 1) for t in ('control', 'letters')] + [NewTopic(f'{self.name}.{arm}', partitions) for arm in ARMS]
        admin = AdminClient({'bootstrap.servers': self.brokers, 'log_level': 2})
        for done in admin.create_topics(made).values(): done.result(30)
        until('the topics are known', lambda: {t.topic for t in made} <= set(admin.list_topics(timeout=10).topics), 10)
        return self

    def producer(self, **more):
        """Idempotent: without, a batch that a new topic's leader refuses at first is sent again behind the next ones,
        and the topic is truly out of order."""
        from confluent_kafka import Producer
        return Producer({'bootstrap.servers': self.brokers, 'log_level': 2, 'linger.ms': 5, 'enable.idempotence': True, **{k.replace('_', '.'): v for k, v in more.items()}})

    def transactional(self):
        """As a Flink sink is: it commits at checkpoints."""
        producer = self.producer(transactional_id=f'{self.name}-sink', transaction_timeout_ms=120_000)
        producer.init_transactions(30); producer.begin_transaction()
        return producer

    def answer(self, producer, arm, number, at=None, **more):
        """`partition` says where it goes; else the key does."""
        at = time.time() if at is None else at
        place = {k: more.pop(k) for k in ('partition', 'key', 'timestamp') if k in more}
        value = {'request_id': f'r{number:06}', 'event_time': int(at * 1e6), 'prediction': {'label': 'ok'}, 'status_code': 200, 'latency_ms': 5, **more}
        producer.produce(f'{self.name}.{arm}', json.dumps(value), **place)
        producer.poll(0)

    def start(self, *more):
        process = Process(self, more, None); self.processes.append(process)
        return process

    def inputs(self, process):
        """(arm, task) -> what /api/v1/why says of it"""
        return {(ARMS[i], t['task']): seen for t in process.why().get('tasks', ()) for i, seen in enumerate(t.get('inputs', ()))}

    def counts(self):
        import duckdb
        names = 'matched', 'unmatched_missing', 'orphans', 'primary_records_late', 'candidate_records_late'
        found = duckdb.connect().sql(f"select {', '.join(f'coalesce(sum({n}), 0)::bigint' for n in names)} from read_parquet('{self.out}/panes/**/*.parquet') where segment_key = ''").fetchall()[0]
        return dict(zip(names, found))

    def joined(self, requests):
        counts = self.counts()
        if counts != dict(matched=requests, unmatched_missing=0, orphans=0, primary_records_late=0, candidate_records_late=0):
            raise Wrong(f'not all of {requests} requests are joined: {counts}')
        self.say(f'{requests} pairs, none missing, none late')

    def signals(self):
        return [json.loads(m.value()) for m in read(self.brokers, f'{self.name}.control', lambda m: m)[0]]

    def no_rollback(self):
        if wrong := [s['reason'] for s in self.signals() if s['action'] == 'rollback']: raise Wrong(f'rolled back: {wrong}')

    def quiet(self):
        """Nothing on healthy topics is an error, and the end of a partition isn't worth a line."""
        for process in self.processes:
            if bad := [line for line in process.text().split('\n') if re.search(r'"level":"ERROR"|PartitionEOF|Partition EOF', line)]: raise Wrong(f'it says {bad[0]}')

    def say(self, what): self.said.append(what)

    def end(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError): process.it.kill()
            process.it.wait()


class Primary:
    """Serves so many requests a second, each partition in turn, until it is left."""

    def __init__(self, scenario, rate, more=lambda number: {}):
        self.scenario, self.rate, self.more, self.times, self.done = scenario, rate, more, [], False
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        producer, begun = self.scenario.producer(), time.monotonic()
        while not self.done:
            number, at = len(self.times), time.time()
            self.scenario.answer(producer, 'primary', number, at, **(self.more(number) or {'partition': number % self.scenario.partitions}))
            self.times.append(at)
            time.sleep(max(0, begun + (number + 1) / self.rate - time.monotonic()))
        producer.flush(30)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_): self.done = True; self.thread.join()


@scenario
def exactly_once(s):
    """The candidate's answers become visible when its transaction commits, each 8 s; one of them is aborted, and its
    answers are sent again. Nothing but the transaction tells that the candidate isn't idle."""
    p, sink, sent, hidden = s.topics().start(), s.transactional(), 0, set()
    with Primary(s, 20) as primary:
        def answers(seconds):
            nonlocal sent
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                while sent < len(primary.times):
                    s.answer(sink, 'v8', sent, primary.times[sent], partition=sent % s.partitions); sent += 1
                time.sleep(0.05)
            hidden.update(of for of, seen in s.inputs(p).items() if seen.get('transaction_open_since'))
        for checkpoint in range(4):
            before = sent
            answers(8)
            if checkpoint == 1:
                sink.abort_transaction(30); sink.begin_transaction()
                sent = before
            else:
                sink.commit_transaction(30); sink.begin_transaction()
    answers(0.2); sink.commit_transaction(30)
    if hidden != {('v8', task) for task in range(s.partitions)}: raise Wrong(f'/api/v1/why says that a transaction is open for {hidden}')
    p.says(r'v8/\d[^"]*: a transaction is open since 20[^"]*: its records aren.t visible yet, time waits for them', 5)
    last = primary.times[-1]
    def closed():
        at = [t['comparisons'][0]['closed_to'] for t in p.why().get('tasks', ()) if t.get('comparisons')]
        import datetime
        return len(at) == s.partitions and all(t and last - 2 < datetime.datetime.fromisoformat(t).timestamp() for t in at)
    until('what is left is closed by facts', closed, 40)
    markers(s, p)
    p.leaves(); s.quiet(); s.no_rollback()
    s.start('--until-end').ends(0)
    s.joined(len(primary.times))


def markers(s, p):
    """A marker of a commit stands behind the last record: it counts as read, for /why and for monitors of lag."""
    from confluent_kafka import Consumer, TopicPartition
    reader = Consumer({'bootstrap.servers': s.brokers, 'group.id': s.name, 'log_level': 2})
    places = [TopicPartition(f'{s.name}.v8', p) for p in range(s.partitions)]
    ends = {of.partition: reader.get_watermark_offsets(of, timeout=10)[1] for of in places}
    seen = {task: (at['position'], at['end']) for (arm, task), at in s.inputs(p).items() if arm == 'v8'}
    if seen != {task: (end, end) for task, end in ends.items()}: raise Wrong(f'/api/v1/why says {seen}, the ends are {ends}')
    committed = lambda: {of.partition: of.offset for of in reader.committed(places, timeout=10)} == ends
    until(f'the committed offsets are the ends {ends}', committed, 10)
    reader.close(); s.say('markers count as read')


@scenario
def until_end_of_a_transaction(s):
    """A bounded run waits for a transaction that is open when it starts: what it hides lies before the end."""
    requests, at = 400, time.time() - 60
    plain, sink = s.topics().producer(), s.transactional()
    for number in range(requests):
        s.answer(plain, 'primary', number, at + number / 10, partition=number % s.partitions)
        s.answer(sink, 'v8', number, at + number / 10, partition=number % s.partitions)
        if number == requests // 2: sink.flush(30); sink.commit_transaction(30); sink.begin_transaction()
    plain.flush(30); sink.flush(30)
    p = s.start('--until-end')
    p.says(r'v8/0, v8/1: a transaction is open since 20')
    p.waits(4)
    sink.commit_transaction(30)
    p.ends(0, seconds=20)
    s.quiet(); s.joined(requests); s.no_rollback()


@scenario
def emptied(s):
    """Retention has emptied the candidate's topic: it stands at its end, though nothing was ever read from it."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient
    producer, admin = s.topics().producer(), AdminClient({'bootstrap.servers': s.brokers, 'log_level': 2})
    for number in range(100):
        for arm in ARMS: s.answer(producer, arm, number, time.time() - 60 + number / 10, partition=number % s.partitions)
    producer.flush(30)
    for done in admin.delete_records([TopicPartition(f'{s.name}.v8', p, -1) for p in range(s.partitions)]).values(): done.result(30)
    s.start('--until-end').ends(65, seconds=20)
    s.quiet()
    if s.counts()['unmatched_missing'] != 100: raise Wrong(f'{s.counts()}')


@scenario
def other_partitioner(s):
    """The primary's keys go where murmur2 says, the candidate's where crc32 does: three of four requests are never paired."""
    requests = 400
    def both(numbers, at):
        for arm, partitioner in zip(ARMS, ('murmur2_random', 'consistent_random')):
            for number in numbers: s.answer(producers[arm], arm, number, at(number), key=f'r{number:06}')
        for producer in producers.values(): producer.flush(30)
    s.topics(4)
    producers = {'primary': s.producer(partitioner='murmur2_random'), 'v8': s.producer(partitioner='consistent_random')}
    now = time.time()
    both(range(requests // 2), lambda number: now - (requests // 2 - number) / 20)
    p, begun = s.start(), time.monotonic()
    for number in range(requests // 2, requests):
        both([number], lambda _: time.time()); time.sleep(max(0, begun + (number - requests // 2) / 20 - time.monotonic()))
    s.say(p.says(r"of \d+ requests seen in both \S+ and \S+, \d+ lie in different partitions")[0])
    until('panes are closed', lambda: list(s.out.glob('panes/**/*.parquet')), 30)
    p.leaves(); s.quiet()
    s.no_rollback()


@scenario
def backlog(s):
    """Topics that are eleven months old when they are first read; half of the candidate's answers failed then."""
    requests, at = 6000, time.time() - 11 * 30 * 86_400
    producer = s.topics().producer()
    for number in range(requests):
        when, place = at + number / 50, dict(partition=number % s.partitions)
        for arm in ARMS:
            failed = dict(status_code=500, prediction=None) if arm == 'v8' and number // s.partitions % 2 else {}
            s.answer(producer, arm, number, when, timestamp=int(when * 1000), **place, **failed)
    producer.flush(30)
    p = s.start()
    signals = until('something is signalled', s.signals, 30)
    p.leaves(); s.quiet()
    s.say(f"{signals[0]['action']}: {signals[0]['reason'][:60]}")
    for signal in s.signals():
        if signal['action'] != 'investigate': raise Wrong(f"{signal['action']} for what is eleven months old: {signal['reason']}")
        if 'old' not in json.dumps(signal.get('weakened_because')) and 'backlog' not in json.dumps(signal.get('weakened_because')): raise Wrong(f'it does not say that it is a backlog: {signal}')


def attempt(args, name):
    """-> whether it holds, and what is said of it"""
    begun, s = time.monotonic(), Scenario(args, f'producers-{name}')
    try: SCENARIOS[name](s)
    except Exception as e: return False, f'FAILED {name}\n        {e if isinstance(e, Wrong) else traceback.format_exc()}'
    finally: s.end()
    return True, f'ok     {name} ({time.monotonic() - begun:.0f} s) {"; ".join(s.said)}'


def main():
    a = argparse.ArgumentParser()
    for name in ('bin', 'brokers', 'work'): a.add_argument('--' + name, required=True)
    a.add_argument('--only', action='append', default=[], choices=list(SCENARIOS))
    a = a.parse_args()
    with concurrent.futures.ThreadPoolExecutor(len(SCENARIOS)) as pool:
        done = list(pool.map(lambda name: attempt(a, name), a.only or SCENARIOS))
    for _, said in done: print(said)
    print(f'{sum(ok for ok, _ in done)} of {len(done)} hold')
    sys.exit(not all(ok for ok, _ in done))


if __name__ == '__main__': main()
