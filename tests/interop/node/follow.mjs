// Watches a bucket until it is ended: prints "watching", then each key as it comes, one a line.
//
// Only the first server is named; the others are learnt from the cluster.

import { connect } from "@nats-io/transport-node";
import { Kvm } from "@nats-io/kv";

const [url, bucket] = process.argv.slice(2);
const nc = await connect({ servers: url, reconnectTimeWait: 100, maxReconnectAttempts: -1 });
const kv = await new Kvm(nc).open(bucket);
const entries = await kv.watch();
console.log("watching");
for await (const entry of entries) console.log(entry.key);
