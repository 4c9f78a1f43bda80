// Buckets and values.

import { Base64KeyCodec, NoopKvCodecs } from "@nats-io/kv/internal";
import { plain, show } from "./record.mjs";

const name = (kv) => `bucket ${kv.bucket}`;

async function manage(r) {
  const { kvm } = r;
  for (const bad of ["", "a b", "a.b", "a*", "ä"]) {
    await r.did(`Kvm.create(${JSON.stringify(bad)})`, () => kvm.create(bad), name);
    await r.did(`Kvm.open(${JSON.stringify(bad)})`, () => kvm.open(bad), name);
  }
  await r.did("Kvm.create(history 65)", () => kvm.create("m_deep", { history: 65 }), name);
  await r.did("Kvm.create(history 0)", () => kvm.create("m_flat", { history: 0 }), name);
  await r.did("Kvm.create(ttl too short)", () => kvm.create("m_a", { ttl: 1 }), name);
  await r.did("Kvm.create(marker too short)", () => kvm.create("m_a", { markerTTL: 1 }), name);
  await r.did("Kvm.create(3 replicas)", () => kvm.create("m_a", { replicas: 3 }), name);
  await r.did("Kvm.create(6 replicas)", () => kvm.create("m_a", { replicas: 6 }), name);
  const kv = await r.did("Kvm.create", () => kvm.create("m_a", { description: "first" }), name);
  await r.did("Kvm.create(same)", () => kvm.create("m_a", { description: "first" }), name);
  await r.did("Kvm.create(other)", () => kvm.create("m_a", { history: 3 }), name);
  await r.did("Bucket.status", kv.status());
  const open = await r.did("Kvm.open", () => kvm.open("m_a"), name);
  await r.did("Bucket.put through Kvm.open", open.put("k", "v"));
  const direct = await kvm.open("m_a", { allow_direct: true });
  await r.did("Bucket.get through Kvm.open(allow_direct)", direct.get("k"));
  await r.did("Bucket.purgeBucket", kv.purgeBucket());
  await r.did("Bucket.purgeBucket(filter)", kv.purgeBucket({ filter: "$KV.m_a.none" }));
  await r.did("Bucket.close", kv.close());
  await r.did("Bucket.destroy", kv.destroy());
  await r.did("Bucket.destroy again", kv.destroy());
  for (const direct of [false, true]) {
    const gone = await kvm.open("m_none", { allow_direct: direct });
    const call = `of a missing bucket, allow_direct ${direct}`;
    await r.did(`Bucket.get ${call}`, gone.get("k"));
    await r.did(`Bucket.get revision ${call}`, gone.get("k", { revision: 1 }));
    await r.did(`Bucket.status ${call}`, gone.status());
    await r.did(`Bucket.keys ${call}`, gone.keys());
    await r.did(`Bucket.watch ${call}`, gone.watch());
    await r.did(`Bucket.history ${call}`, gone.history());
  }
}

async function buckets(r) {
  for (const [bucket, options] of Object.entries({
    b_plain: {},
    b_description: { description: "what it is for" },
    b_replicas: { replicas: 1 },
    b_history: { history: 64 },
    b_max_bytes: { max_bytes: 4096 },
    b_value_size: { maxValueSize: 100 },
    b_ttl: { ttl: 3_600_000 },
    b_short_ttl: { ttl: 100_000 },
    b_marker: { markerTTL: 90_000 },
    b_file: { storage: "file" },
    b_memory: { storage: "memory" },
    b_placement: { placement: { cluster: "east", tags: ["ssd", "eu"] } },
    b_republish: { republish: { src: "$KV.b_republish.>", dest: "b.copy.>", headers_only: true } },
    b_compression: { compression: true },
    b_no_compression: { compression: false },
    b_metadata: { metadata: { owner: "me", for: "test" } },
    b_indirect: { allow_direct: false },
    b_direct: { allow_direct: true },
    b_stream: { streamName: "b_stream_of_its_own" },
    b_bound: { bindOnly: true, streamName: "KV_b_plain" },
    b_patient: { timeout: 5000 },
    b_ring: { republish: { src: "$KV.b_ring.>", dest: "$KV.b_ring.>" } },
  })) {
    const kv = await r.did(`Kvm.create(${bucket})`, () => r.kvm.create(bucket, options), name);
    if (!kv) continue;
    await r.did(`Bucket.put(${bucket})`, kv.put("k", "v"));
    await r.did(`Bucket.get(${bucket})`, kv.get("k"));
    await r.did(`Bucket.status(${bucket})`, kv.status());
  }
}

async function values(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("values", { history: 3 }), name);
  const get = (key, options) =>
    r.did(`Bucket.get(${JSON.stringify(key)}, ${plain(options ?? {})})`, () => kv.get(key, options));
  const put = (key, value) =>
    r.did(`Bucket.put(${JSON.stringify(key)}, ${value.length})`, () => kv.put(key, value));
  await get("missing");
  await put("k", "one");
  await get("k");
  await put("k", "zwei, 二");
  await put("k", "");
  await get("k");
  await put("bytes", Uint8Array.from([0, 1, 2, 254, 255, 13, 10]));
  await get("bytes");
  await put("json", '{"a":[1,2]}');
  const entry = await kv.get("json");
  r.note("KvEntry.json", plain(entry.json()));
  r.note("KvEntry.string", entry.string());
  await put("a.b.c", "nested");
  await get("a.b.c");
  await get("a.b");
  await put("a/b=c_d-e.F", "odd");
  await get("a/b=c_d-e.F");
  await put("large", "0123456789".repeat(50_000));
  await get("large");
  await put("large", new Uint8Array(1024 * 1024 + 1));
  for (const key of ["", ".a", "a.", "a..b", "a b", "a*", ">", "ä"]) {
    await put(key, "v");
    await get(key);
  }
  await put("k", "four");
  for (const revision of [0, 1, 2, 3, 4, 99]) await get("k", { revision });
  await r.did("Bucket.put(previousSeq)", kv.put("k", "five", { previousSeq: 9 }));
  await r.did("Bucket.put(previousSeq stale)", kv.put("k", "six", { previousSeq: 1 }));
  await r.did("Bucket.put(timeout)", kv.put("k", "six", { timeout: 5000 }));
  await r.did("Bucket.status", kv.status());
  const codec = { ...NoopKvCodecs(), key: Base64KeyCodec() };
  const coded = await r.did("Kvm.create(codec)", () => r.kvm.create("coded", { codec }), name);
  await r.did("Bucket.put(codec)", coded.put("a key", "v"));
  await r.did("Bucket.get(codec)", coded.get("a key"));
  await r.all("Bucket.keys(codec)", coded.keys());
}

async function changes(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("changes", { history: 5 }), name);
  const create = (call, key) => r.did(`Bucket.create ${call}`, () => kv.create(key, call));
  const update = (call, key, last) =>
    r.did(`Bucket.update ${call}`, () => kv.update(key, call, last));
  await create("new", "k");
  await create("there", "k");
  await update("right", "k", 1);
  await update("stale", "k", 1);
  await update("ahead", "k", 99);
  await update("missing", "none", 1);
  await update("of zero", "k", 0);
  await r.did("Bucket.update(timeout)", () => kv.update("k", "patient", 2, 5000));
  await r.did("Bucket.delete", kv.delete("k"));
  await r.did("Bucket.get deleted", kv.get("k"));
  await r.did("Bucket.get of the delete", kv.get("k", { revision: 4 }));
  await create("deleted", "k");
  await r.did("Bucket.delete(previousSeq stale)", kv.delete("k", { previousSeq: 1 }));
  await r.did("Bucket.delete(previousSeq)", kv.delete("k", { previousSeq: 5 }));
  await r.did("Bucket.delete again", kv.delete("k"));
  await r.did("Bucket.delete never there", kv.delete("never"));
  await r.did("Bucket.delete bad key", () => kv.delete("a b"));
  await r.all("Bucket.history", kv.history({ key: "k" }));
  await r.did("Bucket.purge(previousSeq stale)", kv.purge("k", { previousSeq: 1 }));
  await r.did("Bucket.purge(previousSeq)", kv.purge("k", { previousSeq: 7 }));
  await r.all("Bucket.history purged", kv.history({ key: "k" }));
  await r.did("Bucket.get purged", kv.get("k"));
  await create("purged", "k");
  await r.did("Bucket.purge", kv.purge("k"));
  await r.did("Bucket.remove", kv.remove("k"));
  await r.did("Bucket.purge never there", kv.purge("never2"));
  await r.did("Bucket.purge(ttl) without markers", kv.purge("k", { ttl: "1h" }));
  await r.did("Bucket.create(ttl) without markers", () => kv.create("t", "v", "1h"));
  for (const key of ["x.a", "x.b", "y.a"]) await kv.put(key, "v");
  await r.did("Bucket.delete of a pattern", kv.delete("x.*"));
  await r.did("Bucket.purge of a pattern", kv.purge("y.>"));
  await r.all("Bucket.keys", kv.keys());
  await r.did("Bucket.status", kv.status());
}

async function limits(r) {
  let kv = await r.did("Kvm.create", () => r.kvm.create("l_sized", { maxValueSize: 10 }), name);
  await r.did("Bucket.put 10 of 10 bytes", kv.put("k", "0123456789"));
  await r.did("Bucket.put 11 of 10 bytes", kv.put("k", "0123456789a"));
  await r.did("Bucket.create counts its header", kv.create("k2", "0"));
  kv = await r.did("Kvm.create", () => r.kvm.create("l_bytes", { max_bytes: 150 }), name);
  for (const key of ["a", "b", "c", "d", "a"]) {
    await r.did(`Bucket.put ${key} in 150 bytes`, kv.put(key, "0123456789"));
  }
  await r.did("Bucket.put longer in 150 bytes", kv.put("a", "0123456789".repeat(4)));
  await r.did("Bucket.delete in 150 bytes", kv.delete("a"));
  await r.did("Bucket.status", kv.status());
}

async function purgeDeletes(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("purge_deletes", { history: 5 }), name);
  for (const [call, argument] of [["", undefined], ["an hour", 3_600_000], ["any age", -1]]) {
    for (const key of ["a", "b", "c"]) {
      await kv.put(key, "1");
      await kv.put(key, "2");
    }
    await kv.delete("a");
    await kv.purge("b");
    await r.did(`Bucket.purgeDeletes(${call})`, () => kv.purgeDeletes(argument));
    for (const key of ["a", "b", "c"]) {
      await r.all(`Bucket.history ${key} after purgeDeletes(${call})`, kv.history({ key }));
    }
    await r.did(`Bucket.status after purgeDeletes(${call})`, kv.status());
  }
}

async function markers(r) {
  const options = { history: 3, markerTTL: 2000 };
  const kv = await r.did("Kvm.create", () => r.kvm.create("markers", options), name);
  const watch = await kv.watch();
  await r.did("Bucket.create(1s)", () => kv.create("k", "v", "1s"));
  for (const ttl of ["500ms", "-1s", "abc", "0", "1h"]) {
    await r.did(`Bucket.create(${ttl})`, () => kv.create("t", "v", ttl));
  }
  await r.did("Bucket.create(1s) there", () => kv.create("k", "w", "1s"));
  await r.did("Bucket.get", kv.get("k"));
  await r.read("Bucket.watch until the marker", watch, (entry) => entry.operation === "PURGE");
  watch.stop();
  await r.did("Bucket.get expired", kv.get("k"));
  await r.all("Bucket.history expired", kv.history({ key: "k" }));
  await r.did("Bucket.create expired", () => kv.create("k", "again"));
  await r.did("Bucket.purge(ttl)", kv.purge("t", { ttl: "1s" }));
  await r.all("Bucket.history purged", kv.history({ key: "t" }));
  await r.until("the purge's marker is gone", async () => (await kv.status()).values === 1);
  await r.all("Bucket.history gone", kv.history({ key: "t" }));
  await r.did("Bucket.status", kv.status());
}

async function aging(r) {
  const kv = await r.did("Kvm.create", () => r.kvm.create("aging", { ttl: 2000 }), name);
  await r.did("Bucket.put", kv.put("k", "v"));
  await r.did("Bucket.status", kv.status());
  await r.until("the value is gone", async () => (await kv.status()).values === 0);
  await r.did("Bucket.get aged", kv.get("k"));
  await r.all("Bucket.keys aged", kv.keys());
  await r.did("Bucket.create aged", () => kv.create("k", "again"));
  await r.did("Bucket.destroy", kv.destroy());
}

async function copies(r) {
  const origin = await r.did("Kvm.create", () => r.kvm.create("c_origin", { history: 3 }), name);
  await origin.put("k", "1");
  await origin.put("j", "1");
  const made = {
    c_mirror: { history: 3, mirror: { name: "c_origin" } },
    c_gathered: { history: 3, sources: [{ name: "c_origin" }] },
    c_lost: { mirror: { name: "c_none" } },
    c_self: { mirror: { name: "c_self" } },
  };
  const found = [];
  for (const [bucket, options] of Object.entries(made)) {
    const kv = await r.did(`Kvm.create(${bucket})`, () => r.kvm.create(bucket, options), name);
    if (kv && bucket !== "c_lost") found.push(kv);
  }
  await origin.put("k", "2");
  await origin.delete("j");
  for (const kv of found) {
    await r.until("the copy is whole", async () => (await kv.status()).values === 4);
    await r.did(`Bucket.get(${kv.bucket})`, kv.get("k"));
    await r.all(`Bucket.history(${kv.bucket})`, kv.history());
    await r.all(`Bucket.keys(${kv.bucket})`, kv.keys());
    await r.did(`Bucket.status(${kv.bucket})`, kv.status());
  }
  await r.did("Bucket.put through the mirror", found[0].put("k", "through"));
}

async function republish(r) {
  for (const headersOnly of [false, true]) {
    const bucket = `r_${headersOnly}`;
    const heard = r.nc.subscribe(`copied.${bucket}.>`, { max: 3 });
    const where = { src: `$KV.${bucket}.>`, dest: `copied.${bucket}.>`, headers_only: headersOnly };
    const kv = await r.did("Kvm.create", () => r.kvm.create(bucket, { republish: where }), name);
    await kv.put("k", "1");
    await kv.put("k", "two");
    await kv.delete("k");
    await r.all("republished", heard, (message) => {
      const keys = [...message.headers.keys()].filter((key) => key !== "Nats-Time-Stamp").sort();
      const told = keys.map((key) => `${key}=${message.headers.get(key)}`);
      return `${message.subject} ${show(message.data)} ${told.join(" ")}`;
    });
  }
}

export async function wholeServer(r) {
  const found = [];
  for await (const one of r.kvm.list()) found.push(one);
  found.sort((a, b) => (a.bucket < b.bucket ? -1 : 1));
  for (const one of found) r.note(`Kvm.list ${one.bucket}`, one);
  const account = await r.jsm.getAccountInfo();
  delete account.api;
  r.note("getAccountInfo", plain(account));
  const names = [];
  for await (const one of r.jsm.streams.names()) names.push(one);
  r.note("streams.names", names.sort().join(" "));
  for (const stream of names) {
    const { state } = await r.jsm.streams.info(stream);
    delete state.consumer_count; // watches that were left lying end when their time is up
    r.note(`streams.info ${stream}`, plain(state));
  }
}

export const cases = {
  manage, buckets, values, changes, limits, purge_deletes: purgeDeletes, markers, aging, copies,
  republish,
};
