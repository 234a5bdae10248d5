"""Reads the control topic as a CloudEvents consumer would, and the dead letters beside it.

Usage: signals.py BROKERS CONTROL LETTERS TABLES
"""
import json, pathlib, sys
import duckdb
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer, TopicPartition


def read(brokers, topic):
    c = Consumer({'bootstrap.servers': brokers, 'group.id': 'reader', 'enable.auto.commit': False})
    low, high = c.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
    c.assign([TopicPartition(topic, 0, low)])
    got = []
    while len(got) < high - low: got += [m for m in c.consume(10_000, 1.0) if not m.error()]
    return got


brokers, control, letters, tables = sys.argv[1:5]
ids, last = set(), {}
schema = json.loads(pathlib.Path('schemas/signal.v1.json').read_text())
for m in read(brokers, control):
    event = from_binary_event(KafkaMessage(headers=dict(m.headers()), key=m.key(), value=m.value()), JSONFormat())
    data = event.get_data()
    data = data if isinstance(data, dict) else json.loads(data)
    assert event.get_id() and event.get_type().startswith('dev.parallax.'), event
    assert m.key().decode() == f"{data['pipeline']}/{data['candidate']}", m.key()
    assert set(schema['required']) <= set(data), set(schema['required']) - set(data)
    assert data['sequence'] > last.get(m.key(), -1), 'sequences ascend'
    assert len(data['examples']) <= 10 and data['input_offsets'], data
    last[m.key()] = data['sequence']; ids.add(event.get_id())
    print(event.get_type(), data['reason'])
rows = {r[0] for r in duckdb.sql(f"select signal_id from read_parquet('{tables}/decisions/**/*.parquet') where signal_id is not null").fetchall()}
assert ids and ids == rows, (ids, rows)
dead = read(brokers, letters)
for m in dead: assert {'x-error-code', 'x-error-reason', 'x-source-topic', 'x-source-partition', 'x-source-offset'} <= {k for k, _ in m.headers()}
codes = {v.decode() for m in dead for k, v in m.headers() if k == 'x-error-code'}
bad = duckdb.sql(f"select sum(primary_records_undecodable + candidate_records_undecodable) from read_parquet('{tables}/panes/**/*.parquet') where segment_key = ''").fetchall()[0][0]
assert len(dead) == bad, (len(dead), bad)
print(f'{len(ids)} signals, {len(dead)} dead letters of kinds {sorted(codes)}')
