"""A `parallax run` under a fault: what it says, how far it reads, how it ends; and live traffic beside it.

Everything waits for conditions, each with a deadline.
"""
import datetime, json, os, re, signal, subprocess, threading, time, urllib.request

PARTITIONS, ARMS = 4, ('primary', 'v8')


class Skipped(Exception):
    """What this machine doesn't allow."""


class Wrong(Exception):
    """What isn't as it must be."""


def until(what, test, seconds):
    """Waits until `test` gives something true, and returns it."""
    end = time.monotonic() + seconds
    while not (got := test()):
        if end < time.monotonic(): raise Wrong(f'not within {seconds} s: {what}')
        time.sleep(0.1)
    return got


def run(*command, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **more)
    if done.returncode: raise Wrong(f'{command[0]} {command[1]} ended with {done.returncode}: {(done.stdout + done.stderr)[-600:]}')
    return done.stdout


class Live:
    """Both arms answer to a request each 10 ms, stamped by the true clock; the candidate may be silent."""

    def __init__(self, case):
        from confluent_kafka import Producer
        self.case, self.silent, self.done = case, False, False
        self.producer = Producer({'bootstrap.servers': case.brokers, 'log_level': 2, 'linger.ms': 5})
        self.thread = threading.Thread(target=self.work, daemon=True)

    def now(self): return time.time()

    def work(self):
        number, begun = 0, time.monotonic()
        while not self.done:
            number += 1; p = number % PARTITIONS
            for arm in ARMS[:1] if self.silent else ARMS:
                self.producer.produce(f'{self.case.name}.{arm}', json.dumps({'request_id': f'r{number}', 'event_time': int(time.time() * 1e6), 'prediction': {'label': 'ok'},
                    'status_code': 200, 'latency_ms': 5, 'segments': {'country': 'BR'}}), partition=p)
                self.case.fed[arm, p] = self.case.fed.get((arm, p), 0) + 1
            self.producer.poll(0)
            time.sleep(max(0, begun + number * 0.01 - time.monotonic()))

    def after(self, seconds):
        """What will have been sent in so many seconds, at the least, of the arms that speak."""
        arms = ARMS[:1] if self.silent else ARMS
        return {of: n + int(seconds * 100 / PARTITIONS) for of, n in dict(self.case.fed).items() if of[0] in arms}

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done = True; self.thread.join(); self.producer.flush(30)


class Process:
    """A `parallax run`, with what it said."""

    def __init__(self, case, more, env):
        self.case, self.path, self.address = case, case.folder / f'run-{len(case.processes) + 1}.log', None
        with open(self.path, 'w') as log:
            self.it = subprocess.Popen([case.world.bin, 'run', case.yaml, *more], stdout=log, stderr=log, env={**os.environ, **(env or {})})

    def text(self): return self.path.read_text()

    def lives(self):
        if self.it.poll() is not None: raise Wrong(f'it ended with {self.it.returncode}: {self.text()[-600:]}')
        return True

    def http(self, path):
        if not (self.lives() and (found := re.search('"http":"([^"]+)"', self.text()))): return None
        try: return urllib.request.urlopen(f'http://{found[1]}{path}', timeout=5).read().decode()
        except OSError: return None

    def why(self): return json.loads(self.http('/api/v1/why') or '{}') or {}

    def says(self, pattern, seconds=60):
        return until(f'it says {pattern!r}', lambda: self.lives() and re.search(pattern, self.text()), seconds)

    def closes(self, to, seconds=30):
        """Waits until all tasks have closed what was before `to`."""
        def done():
            tasks = self.why().get('tasks', ())
            times = [t.get('comparisons', [{}])[0].get('closed_to') for t in tasks]
            return len(times) == PARTITIONS and all(t and to < datetime.datetime.fromisoformat(t).timestamp() for t in times)
        until(f'all is closed to {datetime.datetime.fromtimestamp(to, datetime.timezone.utc)}', done, seconds)

    def reads(self, seconds=60, only=lambda arm, partition: True, live=None):
        """Waits until all that was fed is read, or as much as `live`."""
        def done():
            at = {(ARMS[i], t['task']): seen['position'] for t in self.why().get('tasks', ()) for i, seen in enumerate(t.get('inputs', ()))}
            return all(n <= at.get(of, -1) for of, n in (live or self.case.fed).items() if only(*of))
        until(f'everything fed is read: {live or self.case.fed}', done, seconds)
        return self

    def waits(self, seconds):
        """It is alive all that time, and answers over HTTP in the end."""
        end = time.monotonic() + seconds
        until('the fault is over', lambda: self.lives() and end < time.monotonic(), seconds + 10)
        until('it answers over HTTP', lambda: self.http('/livez'), 10)

    def leaves(self, seconds=60):
        self.it.send_signal(signal.SIGTERM)
        return self.ends(0, seconds=seconds)

    def ends(self, code, *patterns, seconds=60):
        """It ends with this code, and its last words have all of these in them."""
        try: got = self.it.wait(seconds)
        except subprocess.TimeoutExpired: raise Wrong(f'it did not end within {seconds} s: {self.text()[-600:]}') from None
        words = self.text().strip().split('\n')[-1]
        if got != code: raise Wrong(f'it ended with {got}, not {code}: {words[-800:]}')
        for pattern in patterns:
            if not re.search(pattern, words): raise Wrong(f'its last words lack {pattern!r}: {words[-800:]}')
        return words
