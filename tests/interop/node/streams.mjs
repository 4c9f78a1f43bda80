// Streams and consumers.

import { headers } from "@nats-io/transport-node";
import { plain } from "./record.mjs";

async function stream(r, name, messages) {
  await r.did(`streams.add(${name})`, r.jsm.streams.add({ name, subjects: [`${name}.>`] }), plain);
  for (let i = 0; i < messages; i++) await r.js.publish(`${name}.${i % 3}`, String(i));
}

const stored = (one) =>
  one && `${one.subject}=${Buffer.from(one.data)} @${one.seq} ${one.timestamp ? "dated" : "undated"}`;

function about(info) {
  const { ts, created, cluster, ...rest } = info;
  return plain({ ...rest, cluster: cluster !== undefined });
}

async function streams(r) {
  const { jsm } = r;
  await stream(r, "st", 6);
  await r.did("streams.info", jsm.streams.info("st"), about);
  await r.did("streams.info(subjects)", jsm.streams.info("st", { subjects_filter: ">" }), about);
  await r.did("streams.getMessage", jsm.streams.getMessage("st", { seq: 2 }), stored);
  await r.did("streams.getMessage(missing)", jsm.streams.getMessage("st", { seq: 99 }), stored);
  const next = { seq: 2, next_by_subj: "st.0" };
  await r.did("streams.getMessage(next)", jsm.streams.getMessage("st", next), stored);
  const last = { last_by_subj: "st.1" };
  await r.did("streams.getMessage(last)", jsm.streams.getMessage("st", last), stored);
  await r.did("direct.getMessage(refused)", jsm.direct.getMessage("st", last), stored);
  await r.did("streams.update", jsm.streams.update("st", { allow_direct: true, max_msgs: 9 }), about);
  await r.did("direct.getMessage", jsm.direct.getMessage("st", last), stored);
  await r.did("direct.getMessage(next)", jsm.direct.getMessage("st", next), stored);
  await r.did("direct.getMessage(none)", jsm.direct.getMessage("st", { seq: 99 }), stored);
  await r.all("direct.getBatch", jsm.direct.getBatch("st", { seq: 2, batch: 3 }), stored);
  const several = { multi_last: ["st.0", "st.1"] };
  await r.all("direct.getLastMessagesFor", jsm.direct.getLastMessagesFor("st", several), stored);
  await r.did("streams.deleteMessage", jsm.streams.deleteMessage("st", 2));
  await r.did("streams.deleteMessage again", jsm.streams.deleteMessage("st", 2));
  await r.did("streams.deleteMessage(no erase)", jsm.streams.deleteMessage("st", 3, false));
  await r.did("streams.info(deleted)", jsm.streams.info("st", { deleted_details: true }), about);
  await r.did("streams.purge(keep)", jsm.streams.purge("st", { filter: "st.0", keep: 1 }), plain);
  await r.did("streams.purge(seq)", jsm.streams.purge("st", { seq: 5 }), plain);
  await r.did("streams.purge", jsm.streams.purge("st"), plain);
  await r.did("streams.find", jsm.streams.find("st.a"));
  await r.did("streams.find(none)", jsm.streams.find("nobody.listens"));
  await r.did("streams.add(other)", jsm.streams.add({ name: "st", subjects: ["st.*"] }), about);
  await r.did("streams.add(overlap)", jsm.streams.add({ name: "st2", subjects: ["st.a"] }), about);
  await r.did("streams.add(bad name)", async () => jsm.streams.add({ name: "st.2" }), about);
  await r.did("streams.update(missing)", jsm.streams.update("none", { max_msgs: 1 }), about);
  await r.did("streams.get", jsm.streams.get("st"), (one) => one.name);
  await r.did("streams.delete", jsm.streams.delete("st"));
  await r.did("streams.delete again", jsm.streams.delete("st"));
  await r.did("streams.info(deleted stream)", jsm.streams.info("st"), about);
  await r.did("publish to nobody", r.js.publish("st.a", "v", { retries: 0 }), plain);
}

async function publish(r) {
  const config = { name: "pub", subjects: ["pub.>"], allow_msg_ttl: true, allow_rollup_hdrs: true };
  await r.did("streams.add", r.jsm.streams.add(config), about);
  const send = (call, options) => r.did(`publish ${call}`, r.js.publish("pub.a", call, options), plain);
  await send("plain", {});
  await send("id", { msgID: "one" });
  await send("id again", { msgID: "one" });
  await send("stream", { expect: { streamName: "pub" } });
  await send("other stream", { expect: { streamName: "other" } });
  await send("last sequence", { expect: { lastSequence: 3 } });
  await send("wrong last sequence", { expect: { lastSequence: 1 } });
  await send("another id", { msgID: "two" });
  await send("last id", { expect: { lastMsgID: "two" } });
  await send("wrong last id", { expect: { lastMsgID: "one" } });
  await send("last of subject", { expect: { lastSubjectSequence: 6 } });
  await send("wrong last of subject", { expect: { lastSubjectSequence: 1 } });
  await send("ttl", { ttl: "1h" });
  await send("short ttl", { ttl: "1ms" });
  for (const rollup of ["sub", "all", "foo"]) {
    const h = headers();
    h.set("Nats-Rollup", rollup);
    h.set("My-Header", "kept");
    await send(`rollup ${rollup}`, { headers: h });
  }
  await r.did("streams.info", r.jsm.streams.info("pub"), about);
}

async function fetch(r) {
  await stream(r, "fetch", 10);
  const config = { durable_name: "d", ack_policy: "explicit" };
  await r.did("consumers.add", r.jsm.consumers.add("fetch", config), about);
  const consumer = await r.js.consumers.get("fetch", "d");
  const taken = [];
  for await (const message of await consumer.fetch({ max_messages: 3 })) {
    r.note("fetch(3)", message);
    taken.push(message);
  }
  for (const message of taken) await r.did("ackAck", message.ackAck());
  await r.did("next", consumer.next());
  await r.did("info", consumer.info(), about);
  await r.all("fetch(max_bytes)", consumer.fetch({ max_bytes: 100, expires: 1000 }));
  await r.all("fetch(rest)", consumer.fetch({ max_messages: 20, expires: 1000 }));
  await r.did("next(none)", consumer.next({ expires: 1000 }));
  await r.did("info at the end", consumer.info(), about);
}

async function acks(r) {
  await stream(r, "acks", 6);
  const config = {
    durable_name: "d", ack_policy: "explicit", max_deliver: 3, max_ack_pending: 1,
    ack_wait: 60_000_000_000,
  };
  await r.did("consumers.add", r.jsm.consumers.add("acks", config), about);
  const consumer = await r.js.consumers.get("acks", "d");
  const next = async (call) => await r.did(`next ${call}`, consumer.next({ expires: 5000 }));
  (await next("to ack")).ack();
  await r.did("ackAck", (await next("to ackAck")).ackAck());
  (await next("to nak")).nak();
  (await next("to nak later")).nak(50);
  const message = await next("to working");
  message.working();
  message.ack();
  (await next("to term")).term();
  (await next("to term with a reason")).term("no good");
  await r.did("ackAck", (await next("last")).ackAck());
  await r.did("info", consumer.info(), about);
}

async function consume(r) {
  await stream(r, "consume", 25);
  const config = { durable_name: "d", ack_policy: "explicit", filter_subjects: ["consume.0", "consume.2"] };
  await r.did("consumers.add", r.jsm.consumers.add("consume", config), about);
  const consumer = await r.js.consumers.get("consume", "d");
  const found = [];
  const messages = await consumer.consume({ max_messages: 4 });
  for await (const message of messages) {
    found.push(`${message.string()}@${message.seq}`);
    await message.ackAck();
    if (found.length === 17) break;
  }
  await messages.close();
  r.note("consume", found.join(" "));
  const { num_ack_pending, num_pending } = await consumer.info();
  r.note("info", plain({ num_ack_pending, num_pending }));
  await r.did("delete", consumer.delete());
}

async function ordered(r) {
  await stream(r, "ordered", 8);
  for (const [call, options] of Object.entries({
    all: {},
    filtered: { filter_subjects: ["ordered.1"] },
    "from a sequence": { opt_start_seq: 5, deliver_policy: "by_start_sequence" },
    "last per subject": { deliver_policy: "last_per_subject" },
    "headers only": { headers_only: true },
  })) {
    const consumer = await r.js.consumers.get("ordered", options);
    const found = [];
    for await (const message of await consumer.fetch({ max_messages: 20, expires: 1000 })) {
      found.push(`${message.subject}=${message.string()}@${message.seq}`);
      if (message.info.pending === 0) break;
    }
    r.note(`ordered ${call}`, found.join(" "));
  }
  await r.did("consumers.get(no stream)", r.js.consumers.get("none", {}), () => "ok");
}

async function push(r) {
  await stream(r, "push", 4);
  const config = { durable_name: "d", deliver_subject: "push_js", ack_policy: "explicit" };
  await r.did("consumers.add", r.jsm.consumers.add("push", config), about);
  const consumer = await r.js.consumers.getPushConsumer("push", "d");
  const messages = await consumer.consume();
  let left = 4;
  for await (const message of messages) {
    r.note("pushed", message);
    await r.did("ackAck", message.ackAck());
    if (--left === 0) break;
  }
  await messages.close();
  await r.did("consumers.get(push)", r.js.consumers.get("push", "d"), () => "ok");
}

async function consumers(r) {
  const { jsm } = r;
  await stream(r, "cons", 3);
  const add = (call, config) => r.did(`consumers.add ${call}`, async () => jsm.consumers.add("cons", config), about);
  await add("plain", { durable_name: "plain", ack_policy: "explicit" });
  await add("same", { durable_name: "plain", ack_policy: "explicit" });
  await add("other", { durable_name: "plain", ack_policy: "none" });
  await add("bad name", { durable_name: "a.b", ack_policy: "none" });
  await add("start", { durable_name: "start", ack_policy: "none", deliver_policy: "by_start_sequence", opt_start_seq: 2 });
  await add("no start", { durable_name: "no_start", ack_policy: "none", deliver_policy: "by_start_sequence" });
  await add("overlap", { durable_name: "over", ack_policy: "none", filter_subjects: ["cons.1", "cons.*"] });
  await add("backoff", { durable_name: "backoff", ack_policy: "explicit", max_deliver: 4, backoff: [1e9, 6e10] });
  await r.did("consumers.update", jsm.consumers.update("cons", "plain", { description: "changed" }), about);
  await r.did("consumers.update(missing)", jsm.consumers.update("cons", "none", {}), about);
  const hour = new Date(Date.now() + 3_600_000);
  await r.did("consumers.pause", jsm.consumers.pause("cons", "plain", hour), ({ paused }) => paused);
  await r.did("consumers.resume", jsm.consumers.resume("cons", "plain"), ({ paused }) => paused);
  await r.did("consumers.info", jsm.consumers.info("cons", "plain"), about);
  await r.did("consumers.info(missing)", jsm.consumers.info("cons", "none"), about);
  const names = [];
  for await (const one of jsm.consumers.list("cons")) names.push(one.name);
  r.note("consumers.list", names.sort().join(" "));
  await r.did("consumers.delete", jsm.consumers.delete("cons", "plain"));
  await r.did("consumers.delete again", jsm.consumers.delete("cons", "plain"));
  await r.did("consumers.get(missing)", r.js.consumers.get("cons", "plain"), () => "ok");
}

export const cases = { streams, publish, fetch, acks, consume, ordered, push, consumers };
