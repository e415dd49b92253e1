"""What redis-py's users do, against the server on the port given.

Each part is named when it begins; the first thing that is not as with Redis
ends it with an error.
"""

import sys
import threading

import redis


def part(name):
    print(name, flush=True)


port = int(sys.argv[1])
for protocol in (2, 3):
    r = redis.Redis(port=port, protocol=protocol, decode_responses=True)

    part(f"values, RESP{protocol}")
    assert r.ping() is True
    assert r.flushall() is True
    assert r.set("k", "v") is True
    assert r.get("k") == "v" and r.get("none") is None
    assert r.set("k", "w", nx=True) is None
    assert r.set("k", "w", xx=True, get=True) == "v"
    assert r.setnx("k", "x") in (False, 0) and r.getset("k", "y") == "w"
    assert r.append("k", "z") == 2 and r.strlen("k") == 2
    assert r.mset({"a": 1, "b": 2}) is True and r.mget("a", "none", "b") == ["1", None, "2"]
    assert r.exists("a", "b", "none") == 2 and r.type("a") == "string"
    assert r.incr("n") == 1 and r.incrby("n", 41) == 42 and r.decr("n") == 41
    assert sorted(r.keys("[ab]")) == ["a", "b"] and r.dbsize() == 4
    assert sorted(r.scan_iter(count=1)) == ["a", "b", "k", "n"]
    assert r.getdel("a") == "1" and r.delete("b", "none") == 1
    binary = redis.Redis(port=port, protocol=protocol)
    every = bytes(range(256)) * 100
    assert binary.set(every[:300], every) and binary.get(every[:300]) == every

    part(f"times to live, RESP{protocol}")
    assert r.set("t", "v", ex=100) and 95 < r.ttl("t") <= 100
    assert r.pexpire("t", 50_000) and 40_000 < r.pttl("t") <= 50_000
    assert r.expire("t", 100, gt=True) and not r.expire("t", 50, gt=True)
    assert r.persist("t") and r.ttl("t") == -1 and r.ttl("none") == -2
    assert r.setex("t", 100, "w") and r.set("t", "x", keepttl=True) and r.ttl("t") > 90
    assert r.expire("t", -1) and r.get("t") is None

    part(f"errors, RESP{protocol}")
    r.set("s", "text")
    for wrong, words in [
        (lambda: r.incr("s"), "value is not an integer or out of range"),
        (lambda: r.execute_command("NOSUCH"), "unknown command"),
        (lambda: r.execute_command("GET"), "wrong number of arguments"),
        (lambda: r.execute_command("SELECT", 1), "DB index is out of range"),
        (lambda: r.set("big", b"x" * 1_000_000), "limit of 974848 bytes"),
    ]:
        try:
            wrong()
        except redis.ResponseError as error:
            assert words in str(error), error
        else:
            raise AssertionError(words)

    part(f"pipelines, RESP{protocol}")
    with r.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            pipe.set(f"p{number}", number)
            pipe.get(f"p{number}")
        replies = pipe.execute()
    assert replies[::2] == [True] * 10_000
    assert replies[1::2] == [str(number) for number in range(10_000)]
    with r.pipeline() as pipe:
        replies = pipe.set("k", "1").incr("k").incr("s").get("k").execute(raise_on_error=False)
    assert replies[:2] == [True, 2] and replies[3] == "2"
    assert isinstance(replies[2], redis.ResponseError)

    part(f"transactions with watched keys, RESP{protocol}")
    r.set("balance", 0)

    def deposit():
        mine = redis.Redis(port=port, protocol=protocol)

        def add(pipe):
            before = int(pipe.get("balance"))
            pipe.multi()
            pipe.set("balance", before + 1)

        for _ in range(50):
            mine.transaction(add, "balance")
        mine.close()

    threads = [threading.Thread(target=deposit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert r.get("balance") == "200", r.get("balance")
    with r.pipeline() as pipe:
        pipe.watch("balance")
        r.set("balance", "changed")
        pipe.multi()
        pipe.set("balance", "lost")
        try:
            pipe.execute()
        except redis.WatchError:
            pass
        else:
            raise AssertionError("a transaction happened though a watched key had changed")
    assert r.get("balance") == "changed"

    part(f"the server about itself, RESP{protocol}")
    assert r.info()["role"] == "master" and r.info("keyspace")["db0"]["keys"] > 0
    assert r.client_setname("tester") and r.client_getname() == "tester"
    assert r.client_id() in [int(client["id"]) for client in r.client_list()]
    assert r.config_get("save") == {"save": ""} and r.command_count() > 40
    assert "get" in r.command()
    assert r.echo("text") == "text" and r.reset()
    r.close()
part("done")
