"""Do two folders of tables hold the same rows? Files may be cut differently; content may not differ.

Usage: same_tables.py ONE OTHER
"""
import sys
import duckdb

con, differ = duckdb.connect(), 0
for table, only in (('windows', ''), ('panes', ''), ('pairs', ''), ('decisions', "where basis = 'panes'")):
    # What panes decide is the same; whether it was the first to raise the alarm depends on the seconds.
    skip = " exclude (signal_id, evidence)" if table == 'decisions' else ''
    rows = [con.sql(f"select *{skip} from read_parquet('{root}/{table}/**/*.parquet') {only} order by all").fetchall() for root in sys.argv[1:3]]
    if table == 'decisions':
        rows = [[tuple(x for x in r if not isinstance(x, float)) for r in side] for side in rows]
    a, b = (list(map(repr, side)) for side in rows)
    print(f'{table}: {len(a)} and {len(b)} rows, {"equal" if a == b else "DIFFERENT"}')
    if a != b:
        differ = 1
        extra, missing = set(a) - set(b), set(b) - set(a)
        print('  only in the first:', list(extra)[:2], '\n  only in the second:', list(missing)[:2], '\n  doubled:', len(a) - len(set(a)), len(b) - len(set(b)))
sys.exit(differ)
