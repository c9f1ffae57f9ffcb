"""Programs that attack the machine or the verdict: one `attack(target)` or one `add(a, b)` each."""

from __future__ import annotations

HELP = '''
import ctypes, errno, os, signal, socket, struct, sys, threading, time
def gained(*actions):
    """Which of these went through."""
    done = []
    for number, action in enumerate(actions):
        try:
            action()
        except (OSError, MemoryError, RuntimeError):
            continue
        done.append(number)
    return done
def syscall(number, *args):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    given = libc.syscall(ctypes.c_long(number), *[a if isinstance(a, bytes) else ctypes.c_long(a) for a in args])
    if given < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return given
def parents():
    return [os.getppid(), TARGET["engine"]]
'''

ATTACKS = {
    "fork bomb": "return gained(*[os.fork] * 300)",
    "a list of 1 TB": "return bool([0] * (1 << 37))",
    "2 GB piece by piece": "return bool([bytearray(b'x' * (1 << 24)) for _ in range(128)])",
    "memory in many processes": """
        while True:
            bytearray(b'x' * (1 << 26))
            if os.fork() < 0: break
        return True""",
    "endless loop": "\n        while True: pass",
    "sleep": "\n        time.sleep(3600)",
    "ignoring all signals": """
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass""",
    "deep recursion": """
        sys.setrecursionlimit(1 << 30)
        def down(n): return down([n]) if n else 0
        down(1)
        sorted([1], key=lambda x: (lambda f: f(f))(lambda f: max([0], key=lambda _: f(f))))""",
    "endless output": """
        while True:
            print('x' * 10000)
            os.write(2, b'x' * 10000)""",
    "keys in its environment": "return [v for v in os.environ.values() if TARGET['key'] in v]",
    "keys of the engine": """
        return gained(*[lambda p=p, n=n: open(f'/proc/{p}/{n}', 'rb').read(1)
                        for p in [*parents(), 'self'] for n in ('environ', 'mem', 'cmdline', 'maps')])""",
    "reading files": """
        paths = [TARGET['canary'], '/etc/shadow', '/etc/passwd', '/proc/self/status', '/proc/1/environ']
        folders = [TARGET['folder'], '/root', '/home', '/tmp', '/proc', '/etc', os.path.expanduser('~')]
        return gained(*[lambda p=p: open(p, 'rb').read(1) for p in paths],
                      *[lambda p=p: os.listdir(p) for p in folders if not (TARGET['own_tmp'] and p == '/tmp')])""",
    "writing files": """
        folders = [TARGET['folder'], '/tmp', '/var/tmp', '/dev/shm', os.path.dirname(os.__file__), '/']
        return gained(*[lambda f=f: open(f + '/written', 'w').write('x') for f in folders],
                      lambda: open(TARGET['canary'], 'a'), lambda: open(os.__file__, 'r+b'))""",
    "connecting": """
        def through(family, address):
            with socket.socket(family) as s:
                s.settimeout(2)
                s.connect(address)
        return gained(lambda: through(socket.AF_INET, ('127.0.0.1', TARGET['port'])),
                      lambda: through(socket.AF_UNIX, TARGET['abstract']),
                      lambda: through(socket.AF_UNIX, TARGET['socket']),
                      lambda: socket.getaddrinfo('localhost', 80, type=socket.SOCK_DGRAM) and socket.socket(),
                      lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))""",
    "a pair of sockets sends elsewhere": """
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return gained(lambda: a.sendto(b'x', TARGET['datagrams']), lambda: a.sendmsg([b'x'], [], 0, TARGET['datagrams']))""",
    "signals": """
        others = [*parents(), -1, 0, os.getpid() + 1, os.getpid() - 1, 1]
        return gained(*[lambda p=p, s=s: os.kill(p, s) for p in others for s in (0, signal.SIGSTOP)],
                      *[lambda p=p: syscall(234, p, p, 0) for p in others])""",
    "signals by a descriptor's owner": """
        import fcntl
        a, b = socket.socketpair()
        return gained(lambda: fcntl.fcntl(a, fcntl.F_SETOWN, os.getppid()), lambda: fcntl.fcntl(a, 10, signal.SIGKILL),
                      lambda: fcntl.fcntl(a, 15, struct.pack('ii', 1, os.getppid())))""",
    "orphan daemon": """
        def leave():
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    time.sleep(3600)
                os._exit(0)
        return gained(leave)""",
    "a thousand threads": """
        for _ in range(1000):
            threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
        return 'a thousand threads'""",
    "filling the disk": """
        def fill(folder):
            with open(folder + '/full', 'wb') as file:
                for _ in range(300): file.write(b'x' * (1 << 20))
        return gained(*[lambda f=f: fill(f) for f in (TARGET['folder'], '/tmp', '/dev/shm')])""",
    "a thousand files": """
        return gained(*[lambda n=n: os.close(os.open(TARGET['folder'] + f'/{n}', os.O_CREAT)) for n in range(1000)],
                      *[lambda n=n: os.mkdir(f'/tmp/{n}') for n in range(10)], lambda: os.memfd_create('x'))""",
    "metadata": """
        c = TARGET['canary']
        return gained(lambda: os.chmod(c, 0o777), lambda: os.utime(c, (1, 1)), lambda: os.chown(c, 1, 1),
                      lambda: os.truncate(c, 1), lambda: os.unlink(c), lambda: os.rename(c, c + '2'),
                      lambda: os.link(c, c + '3'), lambda: os.symlink(c, c + '4'), lambda: os.setxattr(c, 'user.x', b'x'),
                      lambda: os.chmod(os.__file__, 0o777), lambda: os.utime(os.__file__, (1, 1)),
                      lambda: os.close(os.open(c, os.O_RDONLY | os.O_TRUNC)),
                      lambda: os.close(os.open(c, 3 | os.O_TRUNC)), lambda: os.readlink('/proc/self/exe'))""",
    "surface of the kernel": """
        return gained(lambda: syscall(272, 0x10000000), lambda: syscall(425, 8, b'\\0' * 120), lambda: syscall(321, 5, b'\\0' * 64, 64),
                      lambda: syscall(250, 0, -3, 1), lambda: syscall(298, b'\\0' * 112, 0, -1, -1, 0), lambda: syscall(323, 0),
                      lambda: syscall(165, b'a', b'/', b'tmpfs', 0, 0), lambda: syscall(155, b'/', b'/'), lambda: syscall(161, b'/tmp'),
                      lambda: syscall(435, b'\\0' * 88, 88), lambda: syscall(56, 0x10000011, 0, 0, 0, 0),
                      lambda: syscall(304, -100, b'\\0' * 128, 0), lambda: syscall(317, 0, 0, 0),
                      lambda: syscall(157, 4, 1, 0, 0, 0), lambda: syscall(135, 0), lambda: syscall(29, 0, 4096, 0o1777))""",
    "other processes' memory": """
        return gained(*[lambda p=p: syscall(101, 16, p, 0, 0) for p in parents()],
                      *[lambda p=p: syscall(310, p, b'\\0' * 16, 1, b'\\0' * 16, 1, 0) for p in parents()],
                      *[lambda p=p: syscall(434, p, 0) for p in parents()], lambda: syscall(101, 0, 0, 0, 0))""",
    "other programs": """
        return gained(lambda: os.execv('/bin/true', ['true']), lambda: os.posix_spawn('/bin/true', ['true'], {}),
                      lambda: syscall(322, -100, b'/bin/true', 0, 0, 0),
                      lambda: __import__('subprocess').run(['/bin/true'])) or (os.system('exit 7') >> 8 == 7)""",
    "its own limits": """
        import resource
        big = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        return gained(lambda: resource.setrlimit(resource.RLIMIT_CPU, (1, 1)), lambda: resource.setrlimit(resource.RLIMIT_AS, big),
                      lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (0, 0)), lambda: os.setpriority(0, 0, -5),
                      lambda: os.setuid(12), lambda: os.setgroups([]), lambda: os.sched_setaffinity(0, {0}))""",
    "closing what it has": """
        os.closerange(0, 65536)
        while True: time.sleep(1)""",
}
"""By name: the body of `attack(TARGET)`, which gives what it gained."""

X32 = """
        return gained(lambda: syscall(0x40000000 + 39))"""


def attack_source(body: str) -> str:
    """The program of an attack."""
    return f"{HELP}\ndef attack(target):\n        global TARGET\n        TARGET = target\n        {body.strip()}\n"


FORGERIES = {
    "wrong": "def add(a, b): return a - b",
    "exits while it is loaded": "import sys; sys.exit(0)",
    "leaves while it is loaded": "import os; os._exit(0)",
    "becomes another program": "import os; os.execv('/bin/true', ['true'])",
    "leaves when it is called": "import os\ndef add(a, b): os._exit(0)",
    "exits when it is called": "import sys\ndef add(a, b): sys.exit(0)",
    "prints a pass everywhere": """
import json, os, struct
for fd in range(64):
    for text in (b'PASS\\n', b'{"result": "pass"}'):
        try: os.write(fd, text) if fd != 3 else None
        except OSError: pass
def add(a, b): return None""",
    "an object equal to everything": """
class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = None
def add(a, b): return Equal()""",
    "a number equal to everything": """
class Equal(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 1
def add(a, b): return Equal(77)""",
    "a class equal to everything": """
class Meta(type):
    def __eq__(cls, other): return True
    def __hash__(cls): return 1
class add(metaclass=Meta):
    def __init__(self, a, b): pass
    def __eq__(self, other): return True""",
    "replaces the check by frames and threads": """
import sys, threading, time
def everywhere():
    for frame in sys._current_frames().values():
        while frame:
            for name in ('check', 'verdict', 'judge'):
                frame.f_globals[name] = lambda *a, **k: 'pass'
            frame = frame.f_back
threading.Thread(target=everywhere, daemon=True).start()
def add(a, b):
    everywhere()
    return None""",
    "rebinds itself": """
class Equal:
    def __eq__(self, other): return True
    def __call__(self, *a): return self
add = Equal()
add.__code__ = add""",
    "walks frames for the expected value": """
import sys
def add(a, b):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            if isinstance(value, int) and value > 1000: return value
        frame = frame.f_back
    return 0""",
    "looks for the expected value in its memory": """
import gc, ctypes, re
def add(a, b):
    for thing in gc.get_objects():
        if isinstance(thing, (tuple, list)):
            for value in thing:
                if isinstance(value, str) and 'assert' + ' add(' in value: return eval(value.split('==')[1])
    try:
        with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb') as memory:
            for line in maps:
                low, high = (int(x, 16) for x in line.split()[0].split('-'))
                memory.seek(low)
                found = re.search(rb'assert add\\(\\d+, \\d+\\) == (\\d+)', memory.read(high - low))
                if found: return int(found[1])
    except OSError: pass
    return 0""",
    "patches what tests use": """
import builtins, math, json
math.isclose = lambda *a, **k: True
builtins.abs = lambda x: 0
builtins.AssertionError = ValueError
builtins.__build_class__ = None
json.dumps = lambda x: '{"result": "pass", "ok": 1}'
def add(a, b): return 5""",
    "speaks to the judge itself": """
import json, os, struct
for message in ({'ok': None}, {'ok': {'t': 'handle', 'v': 0}}, {'result': 'pass'}, {'ok': True}, {'up': 1}) * 5:
    data = json.dumps(message).encode()
    os.write(3, struct.pack('!I', len(data)) + data)
def add(a, b): return None""",
    "sends a message of 1 GB": """
import os, struct
def add(a, b):
    os.write(3, struct.pack('!I', 1 << 30))
    while True: os.write(3, b'x' * 65536)""",
    "sends garbage": "import os\ndef add(a, b): os.write(3, b'\\0\\0\\0\\4!!!!'); return 5",
    "sends a deep message": """
import os, struct
def add(a, b):
    data = b'{"ok":' + b'[' * 100000 + b']' * 100000 + b'}'
    os.write(3, struct.pack('!I', len(data)) + data)""",
    "raises what ends tests quietly": "def add(a, b): raise SystemExit(0)",
    "raises an interrupt": "def add(a, b): raise KeyboardInterrupt",
    "raises a class of its own": "class E(BaseException): pass\ndef add(a, b): raise E()",
    "returns an endless iterator": "import itertools\ndef add(a, b): return itertools.count()",
    "is not there": "x = 1",
    "is data": "add = 5",
    "is no Python": "def add(a, b) return a + b",
    "is NUL and surrogates": "def add(a, b): return '\\0\\ud800'\nx = '\udc00'",
    "mutates its arguments": "def add(a, b):\n    a.append(1) if hasattr(a, 'append') else None",
    "a new value each time": "n = 0\ndef add(a, b):\n    global n\n    n += 1\n    return n",
}
"""By name: a program that does not add."""
