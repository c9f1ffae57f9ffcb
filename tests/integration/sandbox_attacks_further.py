"""Further programs that attack the machine or the verdict, of the same kinds as `sandbox_attacks`."""

from __future__ import annotations

ATTACKS = {
    "io_uring": """
        return gained(lambda: syscall(425, 8, b'\\0' * 120), lambda: syscall(426, 3, 1, 1, 0, 0, 0), lambda: syscall(427, 3, 0, 0, 0))""",
    "files without a name": """
        return gained(lambda: os.memfd_create('x', 0), lambda: syscall(319, b'x', 0), lambda: syscall(447, 0),
                      lambda: os.open('/tmp', os.O_TMPFILE | os.O_RDWR), lambda: os.open('/dev/shm/x', os.O_CREAT | os.O_RDWR),
                      lambda: syscall(240, b'/x', 0o102, 0o600, 0), lambda: syscall(68, 1, 0o1777), lambda: syscall(64, 1, 1, 0o1777))""",
    "faults in user space": "return gained(lambda: syscall(323, 0), lambda: syscall(323, 1), lambda: os.open('/dev/userfaultfd', 2))",
    "its own memory as a file": """
        def poke(path):
            with open(path, 'r+b', buffering=0) as memory:
                memory.seek(id(TARGET))
                memory.write(b'x')
        return gained(*[lambda p=p: poke(p) for p in ('/proc/self/mem', f'/proc/{os.getpid()}/mem', '/proc/thread-self/mem')],
                      lambda: os.listdir('/proc/self/fd'), lambda: os.listdir('/proc/self/task'), lambda: os.readlink('/proc/self/cwd'))""",
    "descriptors of other processes": """
        return gained(*[lambda p=p: syscall(434, p, 0) for p in [*parents(), 1]], lambda: syscall(438, 3, 3, 0),
                      *[lambda p=p: syscall(312, p, os.getpid(), 0, 3, 3) for p in parents()],
                      *[lambda p=p: os.open(f'/proc/{p}/fd/0', 0) for p in parents()], lambda: syscall(440, 3, 0, 0, 21, 0))""",
    "signals by other roads": """
        info = b'\\0' * 128
        return gained(*[lambda p=p: syscall(129, p, 10, info) for p in parents()], *[lambda p=p: syscall(297, p, p, 10, info) for p in parents()],
                      *[lambda p=p: syscall(200, p, 9) for p in parents()], lambda: os.killpg(0, 0), lambda: os.killpg(os.getppid(), 0))""",
    "other namespaces and mounts": """
        return gained(lambda: os.unshare(0x20000) if hasattr(os, 'unshare') else syscall(272, 0x20000), lambda: syscall(308, 3, 0),
                      lambda: syscall(428, -100, b'/', 0), lambda: syscall(429, 3, b'', -100, b'/tmp', 0), lambda: syscall(430, b'tmpfs', 0),
                      lambda: syscall(442, -100, b'/', 0, b'\\0' * 32, 32), lambda: syscall(303, -100, b'/', b'\\0' * 16, b'\\0' * 8, 0),
                      lambda: os.chroot('/'), lambda: syscall(166, b'/proc', 2), lambda: os.mknod('/tmp/n'), lambda: os.mkfifo('/tmp/f'))""",
    "the machine's own settings": """
        return gained(lambda: syscall(170, b'x', 1), lambda: syscall(164, b'\\0' * 16, 0), lambda: syscall(227, 0, b'\\0' * 16),
                      lambda: syscall(163, b'/tmp/a'), lambda: syscall(167, b'/x', 0), lambda: syscall(169, 0, 0, 0, 0), lambda: syscall(175, b'x', 1, b''),
                      lambda: syscall(313, 3, b'', 0), lambda: syscall(246, 0, 0, 0, 0), lambda: syscall(172, 3), lambda: syscall(173, 0, 1, 1),
                      lambda: syscall(103, 3, b'\\0' * 64, 64), lambda: syscall(179, 0, b'/', 0, 0), lambda: syscall(251, 1, 0, 0),
                      lambda: syscall(144, os.getppid(), 0, b'\\0' * 4), lambda: syscall(300, 0, 0), lambda: os.nice(-1))""",
    "a terminal's input": """
        import fcntl
        return gained(*[lambda d=d: fcntl.ioctl(d, 0x5412, b'x') for d in range(8)], lambda: os.open('/dev/tty', 2), lambda: os.openpty(),
                      lambda: os.open('/dev/ptmx', 2), lambda: os.open('/dev/kmsg', 0), lambda: os.open('/dev/mem', 0))""",
    "the other table of system calls": """
        import mmap
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex('b802000000cd80c3'))  # fork, by int 0x80
        address = ctypes.addressof(ctypes.c_char.from_buffer(code))
        return ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0""",
    "processor time in many threads": """
        import hashlib
        def spin():
            while True: hashlib.sha256(b'x' * 10_000_000).digest()
        for _ in range(8): threading.Thread(target=spin, daemon=True).start()
        while True: time.sleep(0.01)""",
    "threads that never let it end": """
        threading.Thread(target=lambda: [time.sleep(0.01) for _ in iter(int, 1)], daemon=False).start()
        import atexit
        atexit.register(lambda: time.sleep(3600))
        sys.exit(0)""",
    "timers and alarms": """
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True: pass""",
    "sleeping a little, again and again": """
        while True: time.sleep(0.2)""",
    "a stack that ends the process": """
        sys.setrecursionlimit(1 << 30)
        threading.stack_size(1 << 28)
        def down(n): return down(n + 1)
        thread = threading.Thread(target=down, args=(0,))
        thread.start()
        thread.join()
        ctypes.string_at(0)""",
    "a broken interpreter": """
        import gc
        for thing in gc.get_objects():
            if type(thing) is dict and len(thing) > 20:
                try: thing.clear()
                except Exception: pass
        return None""",
    "modules of the machine": """
        found = []
        for name in ('aiohttp', 'pydantic', 'engine', 'engine.sandbox', 'engine.errors', 'pip', 'scipy'):
            try: __import__(name); found.append(name)
            except ImportError: pass
        return found""",
}
"""By name: the body of `attack(TARGET)`, as in `sandbox_attacks.ATTACKS`."""

SPEAKER = """
import json, os, struct
def say(message, raw=None):
    data = json.dumps(message).encode() if raw is None else raw
    os.write(3, struct.pack('!I', len(data)) + data)
"""
EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __getattr__(self, name): return lambda *a, **k: Equal()
"""

FORGERIES = {
    "a numpy of its own": "import sys, types\nclass Generic:\n    def item(self): return self\n    def __eq__(self, other): return True\nm = types.ModuleType('numpy')\nm.generic = Generic\nsys.modules['numpy'] = m\ndef add(a, b): return Generic()",
    "a numpy without end": "import sys, types\nclass One:\n    def item(self): return Two()\nclass Two(One):\n    def item(self): return One()\nm = types.ModuleType('numpy')\nm.generic = One\nsys.modules['numpy'] = m\ndef add(a, b): return One()",
    "numpy's own equality": "import numpy as np\nclass A(np.ndarray):\n    def __eq__(self, other): return True\n    def __bool__(self): return True\ndef add(a, b): return np.zeros(1).view(A)",
    "leaves when its result is let go": "import os\nclass R(int):\n    def __del__(self): os._exit(0)\ndef add(a, b): return R(1)",
    "leaves at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): raise SystemExit",
    "leaves by a signal": "import os, signal\nsignal.signal(signal.SIGTERM, lambda *_: os._exit(0))\ndef add(a, b): os.kill(os.getpid(), 15)",
    "a text equal to everything": "class T(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\ndef add(a, b): return T('x')",
    "a float equal to everything": "class F(float):\n    def __eq__(self, other): return True\n    __hash__ = float.__hash__\n    def __float__(self): return 5.0\ndef add(a, b): return F(1)",
    "a list equal to everything": "class L(list):\n    def __eq__(self, other): return True\n    def __iter__(self): return iter([5])\ndef add(a, b): return L()",
    "an object that says it is a number": f"{EQUAL}\nclass Lie(Equal):\n    __class__ = int\n    def __int__(self): return 5\n    def __index__(self): return 5\ndef add(a, b): return Lie()",
    "a class that is its own result": "class Meta(type):\n    def __eq__(c, o): return True\n    def __hash__(c): return 0\n    __name__ = 'int'\nclass add(metaclass=Meta):\n    def __new__(cls, *a): return cls",
    "a result that is true of everything": f"{EQUAL}\nadd = Equal()\nEqual.__call__ = lambda self, *a: self",
    "an object whose name is a type": "class C: pass\nC.__name__ = C.__qualname__ = 'int'\ndef add(a, b): return C",
    "not a number": "def add(a, b): return float('nan')",
    "a generator": "def add(a, b):\n    yield a + b",
    "a coroutine": "async def add(a, b): return a + b",
    "an iterator of all numbers": "import itertools\ndef add(a, b): return iter(itertools.count())",
    "a billion digits": "def add(a, b): return 1 << 4_000_000_000",
    "a number of too many digits": "def add(a, b): return 10 ** 2_000_000",
    "a very large text": "def add(a, b): return 'x' * 50_000_000",
    "a very deep list": "def add(a, b):\n    x = []\n    for _ in range(100_000): x = [x]\n    return x",
    "a list that holds itself": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "numbers that hash alike": "def add(a, b): return {n * ((1 << 61) - 1) for n in range(3000)}",
    "an exception that cannot be shown": "class E(Exception):\n    def __str__(self): raise self\n    __repr__ = __str__\n    args = property(lambda s: 1 / 0)\ndef add(a, b): raise E",
    "an exception that leaves when shown": "import os\nclass E(Exception):\n    def __str__(self): os._exit(0)\ndef add(a, b): raise E",
    "an exception with endless arguments": "import itertools\nclass E(Exception): pass\ndef add(a, b):\n    e = E()\n    e.args = tuple(range(100_000))\n    raise e",
    "an exception called AssertionError": "class AssertionError(BaseException): pass\ndef add(a, b): raise AssertionError",
    "the end of an iteration": "def add(a, b): raise StopIteration(5)",
    "traces every function": """
import sys
def trace(frame, event, arg):
    for name in ('given', 'reply', 'request'):
        if name in frame.f_locals: frame.f_locals[name] = {'ok': True}
    if event == 'return': return lambda *_: trace
    return trace
sys.settrace(trace); sys.setprofile(trace)
def add(a, b):
    frame = sys._getframe()
    while frame: frame.f_trace = trace; frame = frame.f_back
    return 5""",
    "patches the sandbox's own modules": """
import gc, sys, types
for thing in gc.get_objects():
    if isinstance(thing, types.ModuleType) and 'sandbox' in str(getattr(thing, '__name__', '')): sys.modules[thing.__name__] = thing
frame = sys._getframe()
while frame:
    g = frame.f_globals
    for name in ('wire', 'Worker', 'failure'):
        if name in g:
            try: g[name].encode = lambda *a, **k: {'t': 'type', 'v': 'object'}
            except Exception: pass
    frame = frame.f_back
def add(a, b): return 5""",
    "patches the checks of types": "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.type = lambda *a: int\nbuiltins.len = lambda *a: 0\nbuiltins.int = None\ndef add(a, b): return 5",
    "patches the parts of json": "import json, json.encoder\njson.encoder.JSONEncoder.encode = lambda s, o: '{\"ok\": 5}'\njson.JSONEncoder.iterencode = lambda s, o: ['5']\njson.encoder.c_make_encoder = None\ndef add(a, b): return None",
    "answers before it is asked": f"{SPEAKER}\nfor _ in range(50): say({{'ok': 5}})\ndef add(a, b): return 5",
    "answers twice": f"{SPEAKER}\ndef add(a, b):\n    say({{'ok': 5}})\n    return 5",
    "changes what was not given": f"{SPEAKER}\ndef add(a, b):\n    for c in ([[0, 5]], [[99, 5]], [[-1, [5]]], [['x', 5]], 5, {{}}, [5]): say({{'ok': 5, 'changed': c}})\n    return 5",
    "a handle that is none": f"{SPEAKER}\ndef add(a, b): say({{'ok': {{'t': 'handle', 'v': 1 << 70, 'name': {{}}}}}}); return 5",
    "tags that are none": f"{SPEAKER}\ndef add(a, b):\n    for n in ({{'t': 'exec', 'v': 'x'}}, {{'t': ['tuple'], 'v': []}}, {{'t': 'type', 'v': '__import__'}}, {{'v': 1}}, {{'t': 'range', 'v': [1, 2, 0]}}, {{'t': 'Decimal', 'v': 'sNaN'}}): say({{'ok': n}})\n    return 5",
    "an error that is none": f"{SPEAKER}\ndef add(a, b):\n    say({{'error': ['eval', 'print', 'type', 5], 'args': {{'t': 'x'}}, 'errno': []}})\n    say({{'error': 'x'}}); say({{'error': [], 'ok': 5}}); return 5",
    "a message in pieces": "import os, struct, time\ndef add(a, b):\n    for byte in struct.pack('!I', 1000) + b'x' * 999:\n        os.write(3, bytes([byte])); time.sleep(0.05)",
    "closes the line": "import os\ndef add(a, b): os.close(3); return 5",
    "talks to itself": "import os, socket\na, b = socket.socketpair()\nos.dup2(a.fileno(), 3)\ndef add(x, y): return 5",
    "a name that is found late": "def __getattr__(name): return lambda *a: 5\nimport sys\nclass M(type(sys)):\n    def __getattribute__(s, n): return (lambda *a: 5)\nsys.modules['solution'].__class__ = M",
    "a decorator that forgets": "import functools\n@functools.partial(lambda f, *a: 5, None)\ndef add(a, b): return a + b",
    "waits in a thread": "import threading\ndef add(a, b):\n    lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "a regular expression bomb": "import re\ndef add(a, b): return re.match('(a+)+$', 'a' * 60 + 'b')",
}
"""By name: a program that does not add."""

HONEST_WITH_LEFTOVERS = {
    "a thread that never ends": "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\ndef add(a, b): return a + b",
    "a thread that spins": "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin, daemon=True).start()\ndef add(a, b): return a + b",
    "an end that sleeps": "import atexit, time\natexit.register(time.sleep, 3600)\ndef add(a, b): return a + b",
    "output without end": "import os\ndef add(a, b):\n    os.write(1, b'x' * 100_000); print('x' * 100_000)\n    return a + b",
    "input that is asked for": "import sys\nsys.stdin.read()\ndef add(a, b): return a + b",
    "a main guard": "def add(a, b): return a + b\nif __name__ == '__main__': raise SystemExit(add(1, 2))",
    "no future": "from __future__ import annotations\nfrom typing import List\ndef add(a: List[int], b) -> int: return a + b",
    "a class of its own": "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef add(a, b): return P(a).x + b",
    "numpy": "import numpy as np\nfrom numpy.linalg import norm\ndef add(a, b): return np.array([a, b]).sum() if norm([3, 4]) == 5 else 0",
    "a recursion that is deep": "import sys\nsys.setrecursionlimit(20_000)\ndef down(n): return down(n - 1) if n else 0\ndef add(a, b): return a + b + down(5000)",
}
"""By name: a program that adds, and leaves something behind or does what some graders break."""

SLOW = frozenset({"sleeping a little, again and again", "a message in pieces"})
"""What only the limit of all time ends."""
