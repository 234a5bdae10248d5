"""Bytes of log per byte of input at 1,000 events/s with 50 segments over 8 partitions.

Usage: log_volume.py PARALLAX BROKERS WORK SECONDS
"""
import collections, json, pathlib, random, signal, subprocess, sys, time
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

binary, brokers, work, seconds = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), int(sys.argv[4])
EVENTS, SEGMENTS, STEP = 1000, [f'S{n:02}' for n in range(50)], 0.02
(work / 'p.yaml').write_text(f"""\
pipeline: volume
kafka: {{brokers: "{brokers}"}}
primary: {{topic: primary}}
candidates: {{v8: {{topic: v8}}}}
segments: {{country: {{declared: [{', '.join(SEGMENTS)}]}}}}
rollback_when:
  - error_rate > 5%
output: {{directory: {work}/out}}
log: {{topic: log}}
http: {{listen: none}}
""")
admin = AdminClient({'bootstrap.servers': brokers})
for made in admin.create_topics([NewTopic('primary', 8), NewTopic('v8', 8)]).values(): made.result(30)
run = subprocess.Popen([binary, 'run', str(work / 'p.yaml')], stderr=open(work / 'run.log', 'w'))
time.sleep(5)
producer, rng, n, sent, begun = Producer({'bootstrap.servers': brokers, 'linger.ms': 5}), random.Random(1), 0, 0, time.time()
while time.time() < begun + seconds:
    while n < (time.time() - begun) * EVENTS / 2:
        n += 1
        us, country, ms = int(time.time() * 1e6), rng.choice(SEGMENTS), 4 * rng.lognormvariate(0, 0.5)
        for topic in ('primary', 'v8'):
            body = '"status_code":503' if rng.random() < 0.005 else f'"prediction":{{"label":"{rng.choice(("ok", "fraud"))}","score":{rng.random():.4f}}},"status_code":200'
            value = f'{{"request_id":"request-{n:012}","event_time":{us},"model_version":"v1",{body},"latency_ms":{ms * rng.uniform(.9, 1.2):.3f},"segments":{{"country":"{country}","device":"ios","tier":"gold"}}}}'
            sent += len(value); producer.produce(topic, value, key=f'request-{n:012}', partition=n % 8)
    producer.poll(0); time.sleep(STEP)
producer.flush()
time.sleep(45)          # the last panes close by wait, skew and idle_after
run.send_signal(signal.SIGTERM); run.wait(30)


def volume(topic):
    c, total, count = Consumer({'bootstrap.servers': brokers, 'group.id': 'volume'}), 0, 0
    for p in c.list_topics(topic, timeout=10).topics[topic].partitions:
        low, high = c.get_watermark_offsets(TopicPartition(topic, p), timeout=10)
        c.assign([TopicPartition(topic, p, low)]); left = high - low
        while left: batch = [m for m in c.consume(10_000, 1.0) if not m.error()]; left -= len(batch); count += len(batch); total += sum(len(m.value()) for m in batch)
    return total, count


said = subprocess.run([binary, 'log', str(work / 'p.yaml'), '-o', 'json'], capture_output=True, text=True, check=True).stdout
kinds = collections.Counter(json.loads(line)['kind'] for line in said.splitlines())
(tasks, entries), (own, weighed) = volume('log'), volume('log.evaluator')
print(f'{2 * n} records, {sent:,} bytes of values ({sent / 2 / n:.0f} each); log: {tasks:,} bytes in {entries} entries of tasks, {own:,} in {weighed} of the evaluator {dict(kinds)}')
print(f'log volume: {100 * (tasks + own) / sent:.1f} % of the input (bar: 10 %)')
sys.exit(tasks + own > 0.1 * sent)
