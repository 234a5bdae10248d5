"""The same events in topics that aren't co-partitioned: other partition counts, other partitioners.

Reads NAME-PARTITION.jsonl files, brings their lines together in about the order in which they came, and
writes them with the request id as key through librdkafka's own partitioners.

Usage: rekey.py BROKERS FOLDER NAME=TOPIC:PARTITIONER[,NAME=TOPIC:PARTITIONER]
"""
import collections, pathlib, re, sys

from confluent_kafka import Producer

brokers, folder, wanted = sys.argv[1:]
for name, topic, partitioner in (re.match(r'([^=]+)=([^:]+):(.+)', one).groups() for one in wanted.split(',')):
    lines = []
    for path in sorted(pathlib.Path(folder).glob(f'{name}-*.jsonl')):
        of = path.read_bytes().split(b'\n')[:-1]
        lines += [(at / len(of), path.name, line) for at, line in enumerate(of)]
    producer = Producer({'bootstrap.servers': brokers, 'partitioner': partitioner, 'linger.ms': 20,
                         'queue.buffering.max.messages': 2_000_000, 'enable.idempotence': True})
    count = collections.Counter()
    def done(error, message):
        count[error or message.partition()] += 1
    for _, _, line in sorted(lines, key=lambda l: l[:2]):
        key = re.search(rb'"request_id":"([^"]*)"', line)
        producer.produce(topic, line, key.group(1) if key else None, on_delivery=done)
        producer.poll(0)
    producer.flush()
    assert sum(count.values()) == len(lines) and all(isinstance(p, int) for p in count), count
    print(topic, dict(sorted(count.items())))
