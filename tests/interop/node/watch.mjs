// Keys, history and watches.

import { KvWatchInclude } from "@nats-io/kv";

const name = (kv) => `bucket ${kv.bucket}`;

async function keys(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("keys", { history: 2 }), name);
  await r.all("Bucket.keys of an empty bucket", kv.keys());
  for (let i = 0; i < 12; i++) await kv.put(`a.${i}`, "v".repeat(i));
  await kv.put("b", "v");
  await kv.put("a.3", "again");
  await kv.delete("a.4");
  await kv.purge("a.5");
  await r.all("Bucket.keys", kv.keys());
  for (const filter of [
    "a.1", "a.*", "a.>", ["b", "a.2"], ["a.*", "b"], ">", "zzz", "a.4", "a b", ["a.*", "a.>"], [],
  ]) {
    await r.all(`Bucket.keys(${JSON.stringify(filter)})`, (async () => kv.keys(filter))());
  }
}

async function history(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("history", { history: 3 }), name);
  const look = (call, options) =>
    r.all(`Bucket.history ${call}`, (async () => kv.history(options))());
  await look("of an empty bucket", {});
  await look("none", { key: "k" });
  for (let i = 0; i < 5; i++) {
    await kv.put("k", String(i));
    await kv.put("x.other", String(i));
  }
  await look("three of five", { key: "k" });
  await kv.delete("k");
  await look("with a delete", { key: "k" });
  await kv.purge("k");
  await look("with a purge", { key: "k" });
  await kv.put("k", "back");
  await look("back", { key: "k" });
  await look("pattern", { key: "x.*" });
  await look("many", { key: ["k", "x.>"] });
  await look("all", {});
  await look("bad key", { key: "a b" });
  await look("headers only", { key: "k", headers_only: true });
}

async function watch(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("watch", { history: 4 }), name);
  for (let i = 0; i < 3; i++) {
    for (const key of ["a", "b", "x.y", "x.y.z"]) await kv.put(key, String(i));
  }
  await kv.delete("b");
  await kv.put("a", "after the delete");
  for (const [call, options] of [
    ["", {}],
    ["one key", { key: "a" }],
    ["no such key", { key: "none" }],
    ["pattern", { key: "x.*" }],
    ["long pattern", { key: "x.>" }],
    ["many", { key: ["a", "x.y"] }],
    ["LastValue", { include: KvWatchInclude.LastValue }],
    ["AllHistory", { include: KvWatchInclude.AllHistory }],
    ["UpdatesOnly", { include: KvWatchInclude.UpdatesOnly }],
    ["headers_only", { headers_only: true }],
    ["ignoreDeletes", { ignoreDeletes: true }],
    ["AllHistory, ignoreDeletes", { include: KvWatchInclude.AllHistory, ignoreDeletes: true }],
    ["resumeFromRevision", { resumeFromRevision: 8 }],
    ["AllHistory, one key", { include: KvWatchInclude.AllHistory, key: "b" }],
    ["UpdatesOnly, headers_only", { include: KvWatchInclude.UpdatesOnly, headers_only: true }],
  ]) {
    const iterator = await r.did(`Bucket.watch ${call}`, () => kv.watch(options), () => "ok");
    if (options.include !== KvWatchInclude.UpdatesOnly && options.key !== "none") {
      await r.read(`initial entries ${call}`, iterator, (entry) => entry.delta === 0);
    }
    const { key = "last" } = options;
    const end = { "x.*": "x.end", "x.>": "x.end" }[key] ?? (Array.isArray(key) ? key[0] : key);
    const last = await kv.put(end, call);
    await r.read(`live entries ${call}`, iterator, (entry) => entry.revision === last);
    if (end !== "b") await kv.purge(end);
    if (end === "a") await kv.put("a", "again");
    iterator.stop();
  }
  for (const key of ["", ".a", "a.", "a b", "a..b", "ä"]) {
    await r.did(`Bucket.watch(${JSON.stringify(key)})`, async () => kv.watch({ key }), () => "ok");
  }
  await r.did("overlap", async () => kv.watch({ key: ["x.*", "x.>"] }), () => "ok");
}

async function watchMany(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("watch_many", { history: 2 }), name);
  for (let i = 0; i < 600; i++) await kv.put(`k${i % 250}`, String(i));
  const iterator = await kv.watch({ include: KvWatchInclude.AllHistory });
  let [count, sum] = [0, 0];
  for await (const entry of iterator) {
    count++;
    sum += entry.revision * entry.delta;
    if (entry.delta === 0) break;
  }
  r.note("Bucket.watch of 500", `${count} ${sum}`);
  let found = 0;
  for await (const _ of await kv.keys()) found++;
  r.note("Bucket.keys of 250", found);
}

async function watchLive(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("watch_live", { history: 64 }), name);
  const one = await kv.watch({ key: "one" });
  const all = await kv.watch({ include: KvWatchInclude.UpdatesOnly });
  let last = 0;
  for (let i = 0; i < 10; i++) last = await kv.put("other", String(i));
  // How many wait behind a live entry depends on how fast the reader is: no deltas here.
  const bare = (entry) => `${entry.key}=${entry.string()} @${entry.revision}`;
  await r.read("all", all, (entry) => entry.revision === last, bare);
  last = await kv.put("one", "seen");
  await r.read("one", one, (entry) => entry.revision === last, bare);
  one.stop();
  all.stop();
}

export const cases = { keys, history, watch, watch_many: watchMany, watch_live: watchLive };
