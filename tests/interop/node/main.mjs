// Makes every call of @nats-io/kv on a server and writes down, one line a call, what came
// back: `case: call -> result`. The same server state gives the same lines, so that the lines
// of two servers can be compared.
//
// The cases run side by side, each on a connection and in buckets of its own; the lines are
// printed in the order of the cases. The last case looks at the whole server, alone.
//
// Left out: what may differ between two servers (the reader of the lines masks it).

import { parseArgs } from "node:util";
import { connect } from "@nats-io/transport-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Recorder } from "./record.mjs";
import { cases as kvCases, wholeServer } from "./kv.mjs";
import { cases as watchCases } from "./watch.mjs";
import { cases as streamCases } from "./streams.mjs";

const { values: given } = parseArgs({
  options: {
    url: { type: "string" },
    case: { type: "string", default: "" },
    ca: { type: "string", default: "" },
    patience: { type: "string", default: "30" }, // seconds
  },
});

async function record(name, run) {
  const patience = Number(given.patience) * 1000;
  const tls = given.ca ? { tls: { caFile: given.ca } } : {};
  let nc;
  try {
    nc = await connect({ servers: given.url, reconnect: false, timeout: patience, ...tls });
  } catch (error) {
    const r = new Recorder(name, undefined, patience);
    r.note("connect", error);
    return r.lines;
  }
  const r = new Recorder(name, nc, patience);
  try {
    r.js = jetstream(nc);
    r.jsm = await jetstreamManager(nc);
    r.kvm = new Kvm(nc);
    const late = new Promise((resolve) => {
      setTimeout(() => resolve("late"), patience + 1000).unref();
    });
    if ((await Promise.race([run(r), late])) === "late") r.note("the case did not end");
  } catch (error) {
    r.note("the case ended early", error);
  }
  const lines = [...r.lines];
  await nc.close();
  return lines;
}

const cases = { ...kvCases, ...watchCases, ...streamCases };
const wanted = Object.entries(cases).filter(([name]) => ["", name].includes(given.case));
const found = await Promise.all(wanted.map(([name, run]) => record(name, run)));
if (["", "whole_server"].includes(given.case)) {
  found.push(await record("whole_server", wholeServer));
}
process.stdout.write(`${found.flat().join("\n")}\n`, () => process.exit(0));
