// What the users of ioredis do, against the server on the port given. The
// library is found in the directory given.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [port, modules] = process.argv.slice(2);
const Redis = createRequire(`${modules}/`)("ioredis");
const redis = new Redis({ port: Number(port), host: "127.0.0.1" });

await redis.flushall();
assert.equal(await redis.set("k", "v", "EX", 100, "NX"), "OK");
assert.equal(await redis.set("k", "v", "NX"), null);
assert.equal(await redis.get("k"), "v");
assert.ok((await redis.ttl("k")) > 90);
assert.deepEqual(await redis.getBuffer("none"), null);
const every = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 256));
await redis.set("binary", every);
assert.deepEqual(await redis.getBuffer("binary"), every);
assert.deepEqual(await redis.mget("k", "none"), ["v", null]);
await assert.rejects(redis.incr("k"), /not an integer/);

// Commands that are sent without waiting are answered in their order.
const numbers = Array.from({ length: 5_000 }, (_, at) => at + 1);
assert.deepEqual(await Promise.all(numbers.map(() => redis.incr("n"))), numbers);
const piped = await redis.pipeline().set("a", 1).get("a").incr("k").get("n").exec();
assert.deepEqual([piped[0], piped[1], piped[3]], [[null, "OK"], [null, "1"], [null, "5000"]]);
assert.match(piped[2][0].message, /not an integer/);

const transaction = await redis.multi().incr("n").ping().get("n").exec();
assert.deepEqual(transaction, [[null, 5001], [null, "PONG"], [null, "5001"]]);
const other = redis.duplicate();
await redis.watch("n");
await other.set("n", "0");
assert.equal(await redis.multi().incr("n").exec(), null);
assert.equal(await redis.get("n"), "0");

const walked = [];
for await (const keys of redis.scanStream({ match: "*", count: 2 })) walked.push(...keys);
assert.deepEqual(walked.sort(), ["a", "binary", "k", "n"]);
assert.equal(await redis.dbsize(), 4);
await Promise.all([redis.quit(), other.quit()]);
console.log("done");
