"""What may happen to a run besides crashes: one scenario per fault, on real Kafka, with real processes.

Where nothing is lost, the run waits or stops with a clear word, goes on when the fault is over, and its
tables are then those of an undisturbed run. Where something is lost, it stops, names what and how to go
on, stops again when it is started again, and what it wrote before is right. Called by scripts/faults.
"""
import argparse, contextlib, functools, os, shutil, signal, struct, subprocess, sys, time, traceback

from faults_process import ARMS, PARTITIONS, Live, Skipped, Wrong, run, until
from faults_world import Case, World

SCENARIOS = {}                  # name: (function of a case, nodes of its cluster)
LONG = {'broker-gone', 'partition-without-leader', 'clock-stepped', 'clock-stepped-beside-a-file-log', 'log-deleted'}


def scenario(f=None, nodes=1):
    if f is None: return functools.partial(scenario, nodes=nodes)
    SCENARIOS[f.__name__.replace('_', '-')] = f, nodes
    return f


def scenarios(f, **names):
    """The same with other arguments."""
    for name, arguments in names.items(): SCENARIOS[name.replace('_', '-')] = functools.partial(f, **arguments), 1


# --- nothing is lost -----------------------------------------------------------------------------

@contextlib.contextmanager
def small_disk(c):
    """A file system of its own, so small that it can be filled."""
    if os.geteuid(): raise Skipped('only root can mount a small file system')
    folder = c.folder / 'disk'; folder.mkdir()
    run('mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder)
    try: yield folder
    finally:
        shutil.copytree(folder, f'{folder}-as-it-was', ignore=lambda _, names: {'ballast'} & set(names))
        run('umount', '-l', folder)


def full(c, output):
    with small_disk(c) as room:
        c.write(**{'out' if output else 'log': room / 'it'})
        p = c.topics().feed(0.4).start().reads()
        with open(room / 'ballast', 'wb', buffering=0) as ballast, contextlib.suppress(OSError):
            while True: ballast.write(b'x' * 4096)
        c.feed(0.7)
        c.say(p.ends(1, 'No space left on device', str(room)))
        c.start().ends(1, 'No space left on device')
        (room / 'ballast').unlink()
        c.start().reads().leaves(); c.finish()


scenarios(full, disk_full=dict(output=True), disk_of_the_log_full=dict(output=False))


@scenario
def read_only_output(c):
    with small_disk(c) as room:
        p = c.write(out=room / 'out').topics().feed(0.4).start().reads()
        # Only a moment without an open file will do.
        until('the folder is read-only', lambda: not subprocess.run(['mount', '-o', 'remount,ro', room], capture_output=True).returncode, 10)
        c.feed(0.7)
        c.say(p.ends(1, 'Read-only file system', str(room)))
        c.start().ends(1, 'Read-only file system', str(room))
        run('mount', '-o', 'remount,rw', room)
        c.start().reads().leaves(); c.finish()


@scenario
def broker_gone(c):
    p = c.topics().feed(0.4).start().reads()
    c.feed(0.5); c.world.stop(1, '--hard')
    p.waits(c.world.seconds)
    c.start().ends(69, 'talk to Kafka', 'kafka.brokers')
    c.world.mend()
    c.feed(0.7); p.reads(120).leaves()
    c.say(f'waited {c.world.seconds} s'); c.finish()


@scenario(nodes=3)
def partition_without_leader(c):
    led = lambda arm, partition: (arm, partition) != ('v8', 3)
    c.topics({'primary': [[1]] * PARTITIONS, 'v8': [[1], [2], [1], [3]]})
    p = c.feed(0.4).start().reads()
    c.world.stop(3)
    c.feed(0.7, only=led); p.reads(only=led).waits(20)
    c.say('the others were read'); c.say(c.start('--until-end').ends(69, 'no leader'))
    c.world.mend()
    c.feed(0.8); p.reads(120).leaves(); c.finish()


def right(c, kind, of, operation, stops):
    """Takes a right away, lets the run meet that, and gives it back."""
    from confluent_kafka.admin import AclBinding, AclBindingFilter, AclOperation, AclPermissionType, ResourcePatternType, ResourceType
    resource, admin = '.'.join(filter(None, (c.name, of))), c.world.admin()
    def acl(operation, kind_of=AclBinding):
        place = getattr(ResourceType, kind), resource, ResourcePatternType.LITERAL
        return kind_of(*place, 'User:ANONYMOUS', '*', getattr(AclOperation, operation), AclPermissionType.ALLOW)
    done = lambda futures: [f.result(20) for f in futures.values()]
    every = ('READ', 'DESCRIBE') if kind == 'GROUP' else ('READ', 'DESCRIBE', 'WRITE', 'DESCRIBE_CONFIGS')
    done(admin.create_acls([acl(operation) for operation in every]))
    p = c.topics().feed(0.3).start().reads()
    done(admin.delete_acls([acl(operation, AclBindingFilter)]))
    c.feed(0.7)
    if stops: c.say(p.ends(1, resource, f'give this user .*{operation}')); c.start().ends(1, resource, f'give this user .*{operation}')
    else: c.say(p.says('The control topic refused a signal')[0]); p.waits(3)
    done(admin.create_acls([acl(operation)]))
    (c.start() if stops else p).reads().leaves(); c.finish()


scenarios(right, acl_of_input=dict(kind='TOPIC', of='v8', operation='READ', stops=True), acl_of_log=dict(kind='TOPIC', of='log', operation='WRITE', stops=True),
    acl_of_control=dict(kind='TOPIC', of='control', operation='WRITE', stops=False), acl_of_letters=dict(kind='TOPIC', of='letters', operation='WRITE', stops=True),
    acl_of_group=dict(kind='GROUP', of='', operation='READ', stops=True))


def outlet(c, of, refuses):
    """A topic to write to is missing, or refuses: found at the start, whatever would be written there."""
    c.topics().feed(0.3); resource, admin = f'{c.name}.{of}', c.world.admin()
    if refuses:
        from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType
        place = ResourceType.TOPIC, resource, ResourcePatternType.LITERAL, 'User:ANONYMOUS', '*'
        acl = lambda operation: AclBinding(*place, getattr(AclOperation, operation), AclPermissionType.ALLOW)
        for done in admin.create_acls([acl('READ')]).values(): done.result(20)
        c.say(c.start().ends(1, resource, 'give this user WRITE'))
        for done in admin.create_acls([acl('WRITE')]).values(): done.result(20)
    else:
        from confluent_kafka.admin import NewTopic
        c.delete(of)
        c.say(c.start().ends(1, resource, "doesn't exist", 'create it'))
        for done in admin.create_topics([NewTopic(resource, 1)]).values(): done.result(30)
    c.start().reads().leaves(); c.finish()


scenarios(outlet, letters_missing=dict(of='letters', refuses=False), control_missing=dict(of='control', refuses=False),
    letters_refuse=dict(of='letters', refuses=True), control_refuses=dict(of='control', refuses=True))


def clock(c, log):
    library, offset = c.folder / 'stepped_clock.so', c.folder / 'offset'
    run('cc', '-shared', '-fPIC', '-O1', '-o', library, 'tests/foreign/stepped_clock.c', '-ldl')
    def step(to):
        with open(offset, 'r+b' if offset.exists() else 'wb') as f: f.write(struct.pack('l', to))
    step(0)
    c.write(log=log and c.folder / log).topics()
    p = c.start(env=dict(LD_PRELOAD=str(library), CLOCK_OFFSET=str(offset)))
    stepped = lambda times: until(f'a step is seen {times} times', lambda: p.lives() and p.text().count("clock was stepped") >= times, 40)
    with Live(c) as live:
        p.closes(live.now()); live.silent = True
        p.closes(live.now())                    # facts alone pass the candidate by
        step(3600); stepped(1); p.reads(live=live.after(8))
        live.silent = False; p.reads(live=live.after(4))
        step(0); stepped(2); p.closes(live.now(), 40); live.silent = True
        p.closes(live.now(), 40)
        step(-3600); stepped(3); live.silent = False; p.reads(live=live.after(8))
        step(0); stepped(4); p.closes(live.now(), 40)
    p.reads().leaves()
    c.start('--until-end').ends(0)
    c.equals_oracle(); c.signals(None)


scenarios(clock, clock_stepped=dict(log=None), clock_stepped_beside_a_file_log=dict(log='state'))


# --- something is lost ---------------------------------------------------------------------------

def stops(c, *patterns, twice=None):
    """The run ends and says so, and so does the next; what was written before is right."""
    runs = c.processes[-1].it.poll() is None
    if runs: c.say(c.processes[-1].ends(1, *patterns)); c.within_whole()
    said = c.start().ends(1, *(twice if runs and twice else patterns))
    if not runs: c.say(said)
    c.within_whole(); c.say('tables right')


@scenario
def input_deleted(c):
    c.topics().feed(0.5).start().reads()
    c.delete('v8')
    stops(c, rf'{c.name}\.v8', 'deleted', r'\d+, \d+, \d+, \d+', 'begin anew', twice=(rf"{c.name}\.v8 doesn't exist",))


def recreated(c, running, to, patterns):
    p = c.topics().feed(0.5).start().reads()
    if not running: p.leaves()
    c.recreate('v8', to)
    stops(c, 'recreated', r'v8\b', *patterns, 'begin anew', twice=('recreated', r'v8\b', 'begin anew'))


scenarios(recreated, input_recreated=dict(running=True, to=0.9, patterns=[r'\d+, \d+, \d+, \d+']), input_recreated_shorter=dict(running=True, to=0.1, patterns=[]),
    input_recreated_meanwhile=dict(running=False, to=0.9, patterns=[r'partition \d, holds other records from offset \d+ to \d+']),
    input_recreated_shorter_meanwhile=dict(running=False, to=0.1, patterns=[r'at offset \d+', r'holds \d+ to \d+', r'read up to \d+']))


def added(c, arms, running=True, log=None):
    from confluent_kafka.admin import NewPartitions
    p = c.write(log=log and c.folder / log).topics().feed(0.5).start().reads()
    if not running: p.leaves()
    admin = c.world.admin()
    for done in admin.create_partitions([NewPartitions(f'{c.name}.{arm}', PARTITIONS + 1) for arm in arms]).values(): done.result(20)
    stops(c, c.name, rf'\b{PARTITIONS}\b', rf'\b{PARTITIONS + 1}\b', 'partitions')


scenarios(added, partitions_added=dict(arms=ARMS), partitions_added_to_one=dict(arms=ARMS[1:]), partitions_added_meanwhile=dict(arms=ARMS, running=False),
    partitions_added_beside_a_file_log=dict(arms=ARMS, running=False, log='state'))


@scenario
def retention_overtaken(c):
    c.topics().feed(0.5).start().reads().leaves()
    c.feed(0.7).truncate('v8', to=0.6)
    stops(c, rf'{c.name}\.v8/\d at offset \d+', r'holds \d+ to \d+', r'read up to \d+', 'retention overtook', 'begin anew')


@scenario
def retention_overtaken_while_it_slept(c):
    p = c.topics().feed(0.4).start().reads()
    p.it.send_signal(signal.SIGSTOP)
    c.feed(0.9).truncate('v8', to=0.8)
    p.it.send_signal(signal.SIGCONT)
    stops(c, rf'{c.name}\.v8/\d at offset \d+', 'retention overtook', 'begin anew')


def log_gone(c, topics, how, running=False):
    p = c.topics().feed(0.5).start().reads()
    if not running: p.leaves()
    for topic in topics: getattr(c, how)(topic)
    if running: c.feed(0.7)
    stops(c, rf'{c.name}\.log', 'begin anew')


LOG = 'log', 'log.evaluator'
scenarios(log_gone, log_deleted=dict(topics=LOG, how='delete', running=True), log_deleted_meanwhile=dict(topics=LOG, how='delete'),
    log_of_the_evaluator_deleted=dict(topics=LOG[1:], how='delete'), log_of_the_tasks_deleted=dict(topics=LOG[:1], how='delete'),
    log_truncated=dict(topics=LOG, how='truncate'), log_of_the_evaluator_truncated=dict(topics=LOG[1:], how='truncate'), log_of_the_tasks_truncated=dict(topics=LOG[:1], how='truncate'))


def main():
    a = argparse.ArgumentParser()
    for name in ('bin', 'work'): a.add_argument('--' + name)
    a.add_argument('--only', action='append', default=[])
    for name in ('list', 'long', 'short'): a.add_argument('--' + name, action='store_true')
    a = a.parse_args()
    if unknown := set(a.only) - set(SCENARIOS): a.error(f'no scenario {", ".join(unknown)}; --list names them')
    if a.list: print('\n'.join(SCENARIOS)); return
    world, failed = World(a.bin, a.work, 300 if a.long else 60), 0
    for name, (of, nodes) in sorted(SCENARIOS.items(), key=lambda s: s[1][1]):
        if a.only and name not in a.only or a.short and name in LONG: continue
        begun, c = time.monotonic(), None
        try:
            world.cluster(nodes); c = Case(world, name)
            of(c)
        except Skipped as e: print(f'skip   {name}: {e}', flush=True)
        except Exception as e:
            failed += 1; print(f'FAILED {name}\n        {e if isinstance(e, Wrong) else traceback.format_exc()}', flush=True)
        else: print(f'ok     {name} ({time.monotonic() - begun:.0f} s) {"; ".join(c.said)}', flush=True)
        finally:
            if c: c.end()
            world.mend()
    sys.exit(bool(failed))


if __name__ == '__main__': main()
