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
    # Without the log panes show the same; whether they were the first to raise the alarm depends on the seconds, and
    # what a run read from a backlog investigates, where a replay, which knows no age, rolls back.
    by_panes = table == 'decisions' and not recorded
    skip, only = (' exclude (signal_id, evidence, action, reason)', "where basis = 'panes'") if by_panes else ('', '')
    rows = [con.sql(f"select *{skip} from read_parquet('{root}/{table}/**/*.parquet') {only} order by all").fetchall() for root in roots]
    if by_panes:
        rows = [[tuple(x for x in r if not isinstance(x, float)) for r in side] for side in rows]
    a, b = (list(map(repr, side)) for side in rows)
    print(f'{table}: {len(a)} and {len(b)} rows, {"equal" if a == b else "DIFFERENT"}')
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
