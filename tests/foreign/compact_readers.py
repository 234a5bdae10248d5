"""DuckDB polls the tables while `parallax compact` merges them, is killed and starts again: every read that
succeeds gives the same count and sums, and in the end the same rows lie in few files.

Usage: compact_readers.py PARALLAX
"""
import json, os, random, shutil, signal, subprocess, sys, tempfile, threading, time
import duckdb, polars, pyarrow.dataset

parallax, clock = os.path.abspath(sys.argv[1]), time.monotonic
folder = tempfile.TemporaryDirectory()
os.chdir(folder.name)
random.seed(1)
SUMS = {'pairs': 'sum(primary_offset), sum(candidate_latency_ms::decimal(18, 3))', 'windows': 'sum(paired), sum(revision)', 'panes': 'sum(paired), sum(candidate_requests)'}
PIPELINE = '''pipeline: fraud
primary: {topic: a}
candidates: {v8: {topic: b}}
segments: {country: {declared: [BR, DE, GB, IN, US]}}
time: {pane: 1s, wait: 5s, skew: 1s}
output: {directory: out, roll: 1s, matches: 100%}
rollback_when: [error_rate > 5%]
'''
open('p.yaml', 'w').write(PIPELINE)


def run(*arguments):
    return subprocess.run([parallax, *arguments], check=True, capture_output=True, text=True).stdout


def fill(start):
    """A day of many small files: one per second and partition."""
    run('generate', '--out', 'data', '--requests', '3000', '--rate', '40', '--partitions', '4', '--start', start, '--missing', '2%')
    run('replay', '--pipeline', 'p.yaml', '--source', 'primary=data', '--source', 'v8=data', '--out', 'more')
    for folder, _, names in os.walk('more'):
        os.makedirs(into := 'out' + folder.removeprefix('more'), exist_ok=True)
        for name in names: os.replace(f'{folder}/{name}', f'{into}/{name}')
    shutil.rmtree('more')
    for name in os.listdir('data'): os.remove(f'data/{name}')


def files(): return sum(name.endswith('.parquet') for _, _, names in os.walk('out') for name in names)


def query(con, table): return con.sql(f"select count(*), {SUMS[table]} from read_parquet('out/{table}/**/*.parquet', hive_partitioning = true)").fetchall()[0]


def everything(table): return duckdb.sql(f"select * from read_parquet('out/{table}/**/*.parquet', hive_partitioning = true) order by all").fetchall()


DAYS = ['2026-03-01', '2026-03-02']
MERGED = len(DAYS) * len(SUMS)
for day in DAYS: fill(f'{day}T10:00:00Z')
before, rows, wanted = files(), {t: everything(t) for t in SUMS}, {t: query(duckdb, t) for t in SUMS}
wrong, reads, again, ended = [], 0, 0, threading.Event()


def poll():
    global reads, again
    con = duckdb.connect()
    while not ended.is_set():
        for table in SUMS:
            try:
                got = query(con, table)
            except duckdb.IOException as error:
                # It had listed the folder before the exchange: it lists it again.
                if 'No such file' in str(error): again += 1
                else: wrong.append(repr(error))
                continue
            except Exception as error:
                wrong.append(repr(error))
                continue
            reads += 1
            if got != wanted[table]: wrong.append(f'{table}: {got}, not {wanted[table]}')


readers = [threading.Thread(target=poll) for _ in range(2)]
for reader in readers: reader.start()
begun, killed, midway = clock(), 0, 0
# Killed at any moment: the next one goes on. The long ones come past the two seconds after a crash.
while clock() - begun < 7:
    was = files()
    process = subprocess.Popen([parallax, 'compact', 'p.yaml', '--keep-days', '0'], stdout=subprocess.DEVNULL)
    time.sleep(random.choice([random.uniform(0.005, 0.3), random.uniform(2, 2.3)]))
    if process.poll() is None: killed, midway = killed + 1, midway + (was > MERGED)
    process.send_signal(signal.SIGKILL)
    process.wait()
run('compact', 'p.yaml', '--keep-days', '0')
second = json.loads(run('compact', 'p.yaml', '--keep-days', '0', '-o', 'json'))
time.sleep(0.3)
ended.set()
for reader in readers: reader.join()
after, left = files(), os.listdir('out/.staging')
passed = failed = 0
for what, ok in {
    f'{reads} reads beside {killed} killed compactions, {midway} of them with days to merge, each with the same sums ({again} listed again): {wrong[:3]}': not wrong and reads > 10 and midway > 1,
    f'{before} files became {after}': after == MERGED,
    'the same rows, value by value': all(everything(t) == rows[t] for t in SUMS),
    'Polars and pyarrow read the merged folders': all(polars.scan_parquet(f'out/{t}/**/*.parquet').select(polars.len()).collect().item() == len(rows[t]) == pyarrow.dataset.dataset(f'out/{t}', format='parquet', partitioning='hive').count_rows() for t in SUMS),
    f'nothing is left over: {left}': not left,
    f'a second run has nothing to do: {second}': not second['merged'],
}.items():
    passed, failed = passed + bool(ok), failed + (not ok)
    print('ok    ' if ok else 'FAILED', what)
print(f'{passed} passed, {failed} failed')
sys.exit(bool(failed))
