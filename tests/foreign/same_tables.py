"""Do two folders of tables hold the same rows? Files may be cut differently; content may not differ.

Usage: same_tables.py ONE OTHER [--recorded]
With --recorded OTHER followed the log of ONE: what seconds decided is the same too, to the last bit, and
there is something to compare: decisions, and panes that a fact closed.
"""
import sys
import duckdb

recorded = '--recorded' in sys.argv
roots = [a for a in sys.argv[1:] if not a.startswith('--')]
con, differ = duckdb.connect(), 0
for table in ('windows', 'panes', 'pairs', 'decisions'):
    # A rule is told once in a rollout: without the log, whether seconds or panes show it first, when, and with which
    # numbers depends on when the seconds were, and what a run read from a backlog investigates where a replay, which
    # knows no age, rolls back. That it was shown doesn't.
    columns = 'distinct rule' if table == 'decisions' and not recorded else '*'
    rows = [con.sql(f"select {columns} from read_parquet('{root}/{table}/**/*.parquet') order by all").fetchall() for root in roots]
    a, b = (list(map(repr, side)) for side in rows)
    what = 'rows' if columns == '*' else 'rules shown'
    print(f'{table}: {len(a)} and {len(b)} {what}, {"equal" if a == b else "DIFFERENT"}')
    if a != b:
        differ = 1
        extra, missing = set(a) - set(b), set(b) - set(a)
        print('  only in the first:', list(extra)[:2], '\n  only in the second:', list(missing)[:2], '\n  doubled:', len(a) - len(set(a)), len(b) - len(set(b)))
if recorded:
    touched = con.sql(f"select count(*) from read_parquet('{roots[0]}/panes/**/*.parquet') where fact_touched and segment_key = ''").fetchall()[0][0]
    by = con.sql(f"select basis, action, count(*) from read_parquet('{roots[0]}/decisions/**/*.parquet') group by all order by all").fetchall()
    print(f'{touched} panes closed by facts, decisions {by}')
    differ |= not touched or not by
sys.exit(differ)
