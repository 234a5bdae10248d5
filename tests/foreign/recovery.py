"""Reads a backlog with 1, 2 and 3 instances, and once more after kill -9.

Usage: recovery.py PARALLAX BROKERS WORK WAIT; called by scripts/recovery.
"""
import json, os, pathlib, re, signal, socket, subprocess, sys, time, urllib.request
from confluent_kafka import Consumer, TopicPartition

binary, brokers, work, wait = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]


def free_port():
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); return s.getsockname()[1]


def start(name, wait):
    """-> process and port; processes of one name share a pipeline"""
    port = free_port(); path = work / f'{name}-{port}.yaml'
    path.write_text(f"""\
pipeline: {name}
kafka: {{brokers: "{brokers}", group: {name}}}
primary: {{topic: primary}}
candidates: {{v8: {{topic: v8}}}}
time: {{pane: 10s, wait: {wait}, skew: 5s}}
segments: {{country: {{declared: [BR, DE, GB, IN, US]}}}}
rollback_when:
  - error_rate > 5%
output: {{directory: {work}/{name}}}
log: {{topic: {name}}}
http: {{listen: "127.0.0.1:{port}"}}
""")
    return subprocess.Popen([binary, 'run', str(path)], stderr=open(f'{path}.log', 'w')), port


def get(port, path):
    try: return urllib.request.urlopen(f'http://127.0.0.1:{port}{path}', timeout=5).read().decode()
    except OSError: return ''


def inputs(ports):
    """-> {(task, arm): what it says of its input}"""
    said = [json.loads(get(port, '/api/v1/why') or 'null') or {'tasks': []} for port in ports]
    return {(task['task'], i['arm']): i for one in said for task in one['tasks'] for i in task.get('inputs', ())}


def records(ports): return sum(int(float(n)) for port in ports for n in re.findall(r'^parallax_records_read_total\{.*\} (\S+)', get(port, '/metrics'), re.M))


def cpu(pid):
    fields = open(f'/proc/{pid}/stat').read().rsplit(') ', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def until(ports, done, seconds=400):
    begun = time.time()
    while time.time() < begun + seconds:
        now = inputs(ports)
        if len(now) == 16 and all(done(i) for i in now.values()): return time.time() - begun, now
        time.sleep(0.3)
    sys.exit('recovery: not caught up in time')


def total(topic):
    c = Consumer({'bootstrap.servers': brokers, 'group.id': 'recovery'})
    return sum(c.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in range(8))


all_records, alone = total('primary') + total('v8'), None
for count in (1, 2, 3):
    running = [start(f'scale{count}', '30s') for _ in range(count)]
    ports = [port for _, port in running]
    took, _ = until(ports, lambda i: i['end'] and i['end'] <= i['position'])
    per = sum(cpu(p.pid) for p, _ in running) / records(ports) * 1e6
    alone = alone or per
    print(f'{count} instance(s): {records(ports):,} records read of {all_records:,} in {took:.1f} s, {per:.2f} µs of CPU each, {per / alone:.2f} of one', flush=True)
    for p, _ in running: p.send_signal(signal.SIGTERM)
    for p, _ in running: p.wait(60)

first, port = start('killed', wait)
until([port], lambda i: i['end'] and i['end'] <= i['position'])
time.sleep(2); first.kill(); first.wait()
second, port = start('killed', wait); begun = time.time()
_, now = until([port], lambda i: i['end'] and i['end'] <= i['position'])
read = records([port])
said = subprocess.run([binary, 'log', str(next(work.glob('killed-*.yaml'))), '-o', 'json'], capture_output=True, text=True, check=True).stdout
resume = {}
for e in map(json.loads, said.splitlines()):
    if e['kind'] == 'closed' and e['epoch'] == 1: resume[e['stream']] = e['resume']
horizon = all_records - sum(offset for points in resume.values() for offset, _ in points)
print(f'kill -9: {read:,} records read again in {time.time() - begun:.1f} s, its session of 10 s included; from the resume points to the end are {horizon:,}; '
      f'{"nothing before them was read" if read == horizon else "DIFFERENT"}')
second.send_signal(signal.SIGTERM); second.wait(60)
sys.exit(read != horizon)
