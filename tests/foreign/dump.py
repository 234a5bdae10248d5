"""Writes Kafka topics into NAME-PARTITION.jsonl files, whose line numbers are the offsets, for `replay`.

Usage: dump.py BROKERS FOLDER NAME=TOPIC…
"""
import pathlib, sys
from oracle import read_kafka

brokers, folder = sys.argv[1], pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
for name, topic in (pair.split('=') for pair in sys.argv[3:]):
    logs = read_kafka(brokers, topic)
    for partition, values in logs.items():
        (folder / f'{name}-{partition}.jsonl').write_bytes(b''.join((value or b'') + b'\n' for value in values))
    print(name, sum(map(len, logs.values())), 'records in', len(logs), 'partitions')
