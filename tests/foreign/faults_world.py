"""What the scenarios of faults.py stand on: a cluster, always the same data, comparisons.

Each scenario has topics, a log and tables of its own; all get the same records, so that one replay of the
files says what the tables of each must hold in the end. Waits for conditions, each with a deadline.
"""
import contextlib, json, pathlib, re, signal, sys

from faults_process import ARMS, PARTITIONS, Process, Wrong, run, until

TABLES = 'windows', 'panes', 'pairs', 'decisions'
PIPELINE = """\
pipeline: faults
kafka: {{brokers: "{brokers}", session: 6s, group: "{name}"}}
primary: {{topic: {name}.primary}}
candidates: {{v8: {{topic: {name}.v8}}}}
time: {{pane: 2s, wait: 5s, skew: 1s, idle_after: 3s}}
windows: [10s]
segments: {{country: {{declared: [BR, DE, GB, IN, US]}}}}
rollback_when:
  - error_rate > 5%
investigate_when:
  - match_rate < 95% in country=BR
output: {{directory: "{out}", roll: 10s, matches: 100%}}
control: {{topic: {name}.control}}
dead_letters: {{topic: {name}.letters}}
log: {log}
http: {{listen: "127.0.0.1:0"}}
"""
TRAFFIC = '''--seed 3 --requests 24000 --rate 200 --missing 2% --duplicate 1% --disorder 1s --wait 5s --beyond-wait 0.2% --broken 0.1%
    --override 0.5% --override-in-one-arm 0.5% --errors 30%@40s --wrong 20%@60s:country=BR'''.split()


def rows(tables, table):
    import duckdb
    if not list(pathlib.Path(tables).glob(f'{table}/**/*.parquet')): return []
    # A rule is told once in a rollout: whether seconds or panes show it first, and with which numbers, depends on when
    # the seconds were. That it was shown doesn't.
    columns = 'distinct rule' if table == 'decisions' else '*'
    found = duckdb.sql(f"select {columns} from read_parquet('{tables}/{table}/**/*.parquet')").fetchall()
    return sorted(repr(list(r)) for r in found)


class World:
    """A cluster at a time, and the data."""

    def __init__(self, binary, work, seconds):
        self.bin, self.work, self.seconds, self.nodes = binary, pathlib.Path(work), seconds, 0
        self.kafka, self.data, self.whole, self.stopped = self.work / 'kafka', self.work / 'data', self.work / 'whole', set()

    def cluster(self, nodes=1):
        """The brokers of a cluster with so many nodes; a single one has an authorizer: what has no ACL may everybody."""
        if self.nodes != nodes:
            if self.nodes: self.nodes = 0; self.broker('down')
            authorizer = ('authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer', 'allow.everyone.if.no.acl.found=true') if nodes == 1 else ()
            said = self.broker('up', '--nodes', nodes, *(word for p in authorizer for word in ('--property', p)))
            self.nodes, self.brokers = nodes, re.search('bootstrap.servers=(.*)', said)[1]
        return self.brokers

    def stop(self, number, *how):
        self.broker('stop-broker', number, *how); self.stopped.add(number)

    def mend(self):
        for number in sorted(self.stopped): self.broker('start-broker', number)
        self.stopped.clear()

    def broker(self, *command): return run('scripts/kafka', *command, '--dir', self.kafka)

    def admin(self):
        from confluent_kafka.admin import AdminClient
        return AdminClient({'bootstrap.servers': self.brokers, 'log_level': 2})

    def records(self):
        """-> {(arm, partition): [value]}, and the tables that they lead to"""
        if not self.whole.exists():
            run(self.bin, 'generate', '--out', self.data, '--partitions', PARTITIONS, *TRAFFIC)
            Case(self, 'whole', brokers='127.0.0.1:1').replay()
        lines = lambda path: [line or None for line in path.read_bytes().split(b'\n')[:-1]]
        return {(arm, p): lines(self.data / f'{arm}-{p}.jsonl') for arm in ARMS for p in range(PARTITIONS)}


class Case:
    """One scenario's pipeline, its topics and its processes."""

    def __init__(self, world, name, brokers=None):
        self.world, self.name, self.processes, self.said = world, name, [], []
        self.folder, self.fed, self.brokers = world.work / name, {}, brokers or world.brokers
        self.folder.mkdir(exist_ok=True)
        self.write()

    def write(self, out=None, log=None):
        """Its pipeline file: the log in a folder, or on a topic."""
        self.out, self.yaml = out or self.folder / 'out', self.folder / 'pipeline.yaml'
        where = f'{{directory: "{log}"}}' if log else f'{{topic: {self.name}.log}}'
        self.yaml.write_text(PIPELINE.format(brokers=self.brokers, name=self.name, out=self.out, log=where))
        return self

    def replay(self):
        run(self.world.bin, 'replay', '--pipeline', self.yaml, *(word for arm in ARMS for word in ('--source', f'{arm}={self.world.data}')), '--out', self.world.whole)

    def topics(self, nodes=None):
        """Makes the topics; with {arm: [nodes of each partition]} for the inputs."""
        from confluent_kafka.admin import NewTopic
        made = [NewTopic(f'{self.name}.{t}', 1) for t in ('control', 'letters')]
        for arm in ARMS: made.append(NewTopic(f'{self.name}.{arm}', PARTITIONS, **(dict(replica_assignment=nodes[arm]) if nodes else {})))
        admin = self.world.admin()
        for done in admin.create_topics(made).values(): done.result(30)
        return self

    def delete(self, topic):
        admin, name = self.world.admin(), f'{self.name}.{topic}'
        for done in admin.delete_topics([name]).values(): done.result(30)
        until(f'{name} is gone', lambda: name not in admin.list_topics(timeout=10).topics, 20)

    def recreate(self, arm, to):
        """The same name, other records: those of the other arm."""
        from confluent_kafka import Producer
        from confluent_kafka.admin import NewTopic
        self.delete(arm); admin, name = self.world.admin(), f'{self.name}.{arm}'
        for done in admin.create_topics([NewTopic(name, PARTITIONS)]).values(): done.result(30)
        producer = Producer({'bootstrap.servers': self.brokers, 'log_level': 2, 'queue.buffering.max.messages': 500_000})
        for (other, p), values in self.world.records().items():
            for value in values[:int(len(values) * to)] if other != arm else (): producer.produce(name, value, partition=p)
        if producer.flush(60): raise Wrong('records could not be sent')

    def truncate(self, topic, to=None):
        """Deletes records up to the share `to` of what was fed, or all."""
        from confluent_kafka import TopicPartition
        admin, name = self.world.admin(), f'{self.name}.{topic}'
        partitions, records = admin.list_topics(name, timeout=10).topics[name].partitions, self.world.records()
        places = [TopicPartition(name, p, -1 if to is None else int(len(records[topic, p]) * to)) for p in partitions]
        for done in admin.delete_records(places).values(): done.result(30)

    def feed(self, to, only=lambda arm, partition: True, wait=True):
        """Sends each partition's records up to the share `to`."""
        from confluent_kafka import Producer
        records, bad = self.world.records(), []
        producer = Producer({'bootstrap.servers': self.brokers, 'log_level': 2, 'enable.idempotence': True, 'queue.buffering.max.messages': 500_000})
        for (arm, p), values in records.items():
            if not only(arm, p): continue
            begin, end = self.fed.get((arm, p), 0), int(len(values) * to)
            for value in values[begin:end]: producer.produce(f'{self.name}.{arm}', value, partition=p, on_delivery=lambda e, m: e and bad.append(e))
            self.fed[arm, p] = max(begin, end)
        if wait and (producer.flush(60) or bad): raise Wrong(f'records could not be sent: {bad[:1]}')
        return self

    def start(self, *more, env=None):
        process = Process(self, more, env); self.processes.append(process)
        return process

    def finish(self):
        """The rest is sent and read to the end; then nothing may be lost."""
        self.feed(1)
        self.start('--until-end').ends(0, seconds=120)
        self.equals_whole(); self.signals(True); self.letters()

    def equals_whole(self):
        for table in TABLES:
            one, other = rows(self.out, table), rows(self.world.whole, table)
            if one != other or not other:
                raise Wrong(f'{table}: {len(one)} rows and not {len(other)}; {len(set(one) - set(other))} only here, {len(set(other) - set(one))} missing; {(list(set(one) ^ set(other)) or [""])[0][:300]}')
        self.say('tables whole')

    def within_whole(self, least=1):
        """What was written before it stopped is right: rows of the whole, none doubled."""
        for table in TABLES:
            one, other = rows(self.out, table), rows(self.world.whole, table)
            if len(set(one)) != len(one): raise Wrong(f'{table}: {len(one) - len(set(one))} rows are doubled')
            if extra := set(one) - set(other): raise Wrong(f'{table}: {len(extra)} rows are wrong: {list(extra)[0][:300]}')
            if table == 'panes' and len(one) < least: raise Wrong(f'{table}: only {len(one)} rows')
        self.signals(False)

    def signals(self, finished):
        """Signals come in order, repeats are identical; in the end they are those of the decisions."""
        import duckdb
        from chaos_checks import read
        first, last = {}, 0
        for m in read(self.brokers, f'{self.name}.control', lambda m: m)[0]:
            of, sequence = dict(m.headers())['ce_id'].decode(), json.loads(m.value())['sequence']
            if first.setdefault(of, m.value()) != m.value(): raise Wrong(f'signal {of} was repeated with other bytes')
            if sequence < last: raise Wrong(f'signal {of} has sequence {sequence} after {last}')
            last = sequence
        if finished is None: return
        if finished:
            known = duckdb.sql(f"select signal_id from read_parquet('{self.out}/decisions/**/*.parquet') where signal_id is not null").fetchall()
            if differ := set(first) ^ {r[0] for r in known}: raise Wrong(f'signals and decisions differ: {differ}')
            if not first: raise Wrong('there are no signals')
            self.say(f'{len(first)} signals')

    def equals_oracle(self):
        (self.folder / 'log.jsonl').write_text(run(self.world.bin, 'log', self.yaml, '-o', 'json'))
        said = run(sys.executable, 'tests/foreign/oracle.py', self.out, '--kafka', self.brokers, '--topics', ','.join(f'{arm}={self.name}.{arm}' for arm in ARMS),
            '--facts', self.folder / 'log.jsonl', '--wait', 5, '--skew', 1, '--pane', 2)
        import duckdb
        late, facts = duckdb.sql(f"select sum(primary_records_late + candidate_records_late), sum((fact_touched)::int) from read_parquet('{self.out}/panes/**/*.parquet') where segment_key = ''").fetchall()[0]
        if late: raise Wrong(f'{late} records were late that were not')
        self.say(f'{said.strip().splitlines()[-1]}, none late, {facts} panes touched by facts')

    def letters(self):
        """Each record that couldn't be read was put aside."""
        import duckdb
        from chaos_checks import read
        place = lambda m: tuple(v for k, v in m.headers() if k.startswith('x-source-'))
        aside = {x for p in read(self.brokers, f'{self.name}.letters', place).values() for x in p}
        bad = duckdb.sql(f"select sum(primary_records_undecodable + candidate_records_undecodable) from read_parquet('{self.out}/panes/**/*.parquet') where segment_key = ''").fetchall()[0][0]
        if len(aside) != bad or not bad: raise Wrong(f'{len(aside)} letters and {bad} records that could not be read')

    def say(self, what): self.said.append(what)

    def end(self):
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError): process.it.send_signal(signal.SIGCONT); process.it.kill()
            process.it.wait()
