"""DuckDB, Polars and pyarrow read all four tables and agree on them; HdrHistogram reads the histograms.

Usage: read_tables.py TABLES
"""
import sys
import duckdb, polars, pyarrow.dataset, pyarrow.parquet as pq
from hdrh.histogram import HdrHistogram

root, passed, failed = sys.argv[1], 0, 0


def check(what, ok):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok: print('FAILED', what)


SUMS = {'windows': ['paired', 'matched', 'primary_requests'], 'panes': ['paired', 'candidate_requests'], 'pairs': ['partition'], 'decisions': ['total']}
duckdb.sql("set timezone='UTC'")
for table, sums in SUMS.items():
    files = f'{root}/{table}/**/*.parquet'
    a = duckdb.sql(f"select count(*), {', '.join(f'sum({c})' for c in sums)} from read_parquet('{files}', hive_partitioning = true)").fetchall()[0]
    lazy = polars.scan_parquet(files, hive_partitioning=True)
    b = lazy.select([polars.len().alias('n')] + [polars.col(c).sum() for c in sums]).collect().row(0)
    data = pyarrow.dataset.dataset(f'{root}/{table}', format='parquet', partitioning='hive').to_table()
    c = (data.num_rows, *(sum(data[s].to_pylist()) for s in sums))
    check(f'{table}: {a} {b} {c}', tuple(map(int, a)) == tuple(map(int, b)) == c)
    check(f'{table}: hive columns', {'pipeline', 'candidate', 'dt'} <= set(data.column_names) and 'candidate' in lazy.collect_schema().names())
    stamps = [f for f in data.schema if str(f.type).startswith('timestamp')]
    check(f'{table}: UTC microseconds {stamps}', stamps and all(str(f.type) == 'timestamp[us, tz=UTC]' for f in stamps))
    for path in duckdb.sql(f"select file from glob('{files}')").fetchall():
        meta = pq.read_metadata(path[0])
        keys = {k.decode() for k in meta.metadata or {}}
        check(f'{path[0]}: metadata', {'parallax.schema_version', 'parallax.config_hash', 'parallax.table'} <= keys)
        check(f'{path[0]}: ZSTD', meta.row_group(0).column(0).compression == 'ZSTD')
rates = duckdb.sql(f"select count(*) from read_parquet('{root}/windows/**/*.parquet') where match_rate not between match_rate_low and match_rate_high or comparable = 0 and match_rate is not null").fetchall()[0][0]
check('a rate lies in its interval and is null without pairs', rates == 0)
import base64, struct, zlib


def decode(blob):
    packed = zlib.compress(blob)
    return HdrHistogram.decode(base64.b64encode(struct.pack('>ii', 0x1c849304, len(packed)) + packed))


for start, blob, n in duckdb.sql(f"select pane_start, candidate_latency_us_hdr, candidate_requests - candidate_failed from read_parquet('{root}/panes/**/*.parquet') where segment_key = '' and candidate_requests > candidate_failed limit 50").fetchall():
    # An answer whose latency is broken counts, its latency doesn't.
    check(f'histogram of {start}', 0.99 * n <= decode(bytes(blob)).get_total_count() <= n)
print(f'{passed} passed, {failed} failed')
sys.exit(bool(failed))
