"""Sends 20 k events/s, makes the candidate go wrong at random moments, and waits for the signal.

Each injection is a rollout of its own (a new model version). Usage: reaction.py BROKERS INJECTIONS
"""
import json, random, sys, threading, time
from confluent_kafka import Consumer, Producer, TopicPartition

brokers, injections, RATE, STEP = sys.argv[1], int(sys.argv[2]), 10_000, 0.005
producer = Producer({'bootstrap.servers': brokers, 'linger.ms': 2, 'acks': 1, 'queue.buffering.max.messages': 500_000})
signals, rng = {}, random.Random(1)


def listen():
    c = Consumer({'bootstrap.servers': brokers, 'group.id': 'reaction', 'fetch.wait.max.ms': 5})
    c.assign([TopicPartition('parallax.control', 0, 0)])
    while True:
        m = c.poll(0.05)
        if m and not m.error():
            data = json.loads(m.value())
            signals.setdefault((data['model_version'], data['action']), (time.time(), data['rule']['text']))


threading.Thread(target=listen, daemon=True).start()
number, took, missed, sent_at = 0, [], [], time.time()
for k in range(-1, injections):
    version, kind = f'v8-{k}', ('errors', 'slow')[k % 2]
    begin = time.time() + (12 if k < 0 else rng.uniform(2.5, 4.5))
    first = None
    while True:
        now = time.time()
        bad = k >= 0 and now >= begin
        if (k < 0 and now >= begin) or (first and ((version, 'rollback') in signals or now > first + 10)): break
        while sent_at < now:
            sent_at += STEP
            for _ in range(int(RATE * STEP)):
                number += 1
                us, lat = int(sent_at * 1e6), 4 * rng.lognormvariate(0, 0.5)
                for topic in ('fraud.primary', 'fraud.v8'):
                    mine = topic == 'fraud.v8'
                    hurt = mine and bad
                    failed = rng.random() < (0.30 if hurt and kind == 'errors' else 0.01)
                    ms = lat * 4 if hurt and kind == 'slow' else lat
                    if hurt and first is None and (kind == 'slow' or failed): first = time.time()
                    body = '"status_code":503' if failed else '"prediction":{"label":"ok"},"status_code":200'
                    value = f'{{"request_id":"r{number}","event_time":{us},"model_version":"{version if mine else "v7"}",{body},"latency_ms":{ms:.3f},"segments":{{"country":"BR"}},"pad":"{"x" * 200}"}}'
                    producer.produce(topic, value, key=f'r{number}', partition=number % 8)
            producer.poll(0)
        time.sleep(STEP / 5)
    if k < 0: continue
    if (version, 'rollback') in signals: took.append(signals[version, 'rollback'][0] - first)
    else: missed.append(version)
    if (k + 1) % 10 == 0: print(f'{k + 1} injections, longest so far {max(took):.2f} s', flush=True)
early = [v for (v, a) in signals if a == 'rollback' and v == 'v8--1']
took.sort()
p = lambda q: took[min(len(took) - 1, int(q * len(took)))]
print(f'{len(took)} of {injections} signalled, {len(missed)} missed {missed[:3]}, {len(early)} before any harm; '
      f'seconds from the first offending record: p50 {p(.5):.2f}, p90 {p(.9):.2f}, p99 {p(.99):.2f}, longest {took[-1]:.2f}; {number * 2 / 1e6:.1f} M events')
sys.exit(bool(missed or early or p(.99) > 3))
