// Writes down what calls gave, one line a call, and shows values without what no two runs share.

export class Recorder {
  constructor(name, nc, patience) {
    this.name = name;
    this.nc = nc;
    this.deadline = Date.now() + patience;
    this.lines = [];
    this.taken = new WeakMap(); // a watch is read in parts, and begun once
  }

  note(call, value) {
    this.lines.push(`${this.name}: ${call} -> ${show(value)}`);
  }

  // Awaits a call, writes down what came, and hands it on; undefined when it raised.
  async did(call, result, pick = (value) => value) {
    try {
      const value = await (typeof result === "function" ? result() : result);
      this.note(call, pick(value));
      return value;
    } catch (error) {
      this.note(call, error);
      return undefined;
    }
  }

  // Takes entries from a watch, up to the one that is `last`.
  async read(call, iterator, last, each = show) {
    const found = [];
    if (!this.taken.has(iterator)) this.taken.set(iterator, iterator[Symbol.asyncIterator]());
    for (;;) {
      const one = await Promise.race([this.taken.get(iterator).next(), this.late()]);
      if (one === "late" || one.done) {
        found.push(one === "late" ? "nothing more came" : "closed");
        break;
      }
      found.push(each(one.value));
      if (last(one.value)) break;
    }
    this.note(call, found.join("; "));
  }

  // All that an iterator gives until it ends by itself.
  async all(call, result, each = show) {
    try {
      const found = [];
      const taken = (await result)[Symbol.asyncIterator]();
      for (;;) {
        const one = await Promise.race([taken.next(), this.late()]);
        if (one === "late") {
          found.push("it did not end");
          break;
        }
        if (one.done) break;
        found.push(each(one.value));
      }
      this.note(call, `${found.length}: ${found.join("; ")}`);
    } catch (error) {
      this.note(call, error);
    }
  }

  late() {
    return new Promise((resolve) => {
      setTimeout(() => resolve("late"), Math.max(0, this.deadline - Date.now())).unref();
    });
  }

  // Asks again until the answer is yes.
  async until(what, look) {
    while (!(await look())) {
      if (Date.now() > this.deadline) throw new Error(`never: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export function text(bytes) {
  const whole = JSON.stringify(Buffer.from(bytes).toString("latin1"));
  return bytes.length > 40 ? `${whole.slice(0, 12)}… ${bytes.length} bytes` : whole;
}

export function moment(date) {
  const time = new Date(date).getTime();
  return Math.abs(Date.now() - time) < 60_000 ? "now" : new Date(date).toISOString();
}

function headers(of) {
  if (!of) return "";
  const found = [...of.keys()].map((key) => `${key}: ${of.values(key).join(", ")}`);
  return ` {${found.sort().join("; ")}}`;
}

function showError(error) {
  const codes = [];
  for (let one = error; one instanceof Error; one = one.cause) {
    codes.push(`${one.constructor.name} ${JSON.stringify(one.message)}`);
    if (typeof one.code === "number" || typeof one.code === "string") codes.push(`code=${one.code}`);
    if (typeof one.status === "number") codes.push(`status=${one.status}`);
  }
  return `error ${codes.join(" ")}`;
}

export function show(value) {
  if (value === undefined) return "ok";
  if (value === null) return "null";
  if (value instanceof Error) return showError(value);
  if (typeof value === "string") return value;
  if (typeof value !== "object") return String(value);
  if (value instanceof Uint8Array) return text(value);
  if (value.operation !== undefined) {
    const live = value.isUpdate === undefined ? "" : ` isUpdate=${value.isUpdate}`;
    return `${value.bucket}/${value.key}=${text(value.value)} @${value.revision} ` +
      `delta=${value.delta} ${value.operation} length=${value.length}${live} ` +
      `rawKey=${value.rawKey} created=${moment(value.created)}`;
  }
  if (typeof value.ackAck === "function") {
    const about = value.info;
    return `${value.subject}=${text(value.data)}${headers(value.headers)} ` +
      `seq=${about.streamSequence}/${about.deliverySequence} delivered=${about.deliveryCount} ` +
      `redelivered=${value.redelivered} pending=${about.pending} at=${moment(value.time)}`;
  }
  if (value.streamInfo !== undefined) return status(value);
  return plain(value);
}

function status(of) {
  const names = [
    "bucket", "values", "history", "ttl", "markerTTL", "bucket_location", "backingStore",
    "storage", "replicas", "description", "maxBucketSize", "maxValueSize", "max_bytes",
    "placement", "placementCluster", "republish", "size", "metadata", "compression",
  ];
  const found = names.map((name) => `${name}=${plain(of[name])}`);
  return `${found.join(" ")} config=${plain(of.streamInfo.config)}`;
}

// A value as JSON with sorted keys and without the moments.
export function plain(value) {
  return JSON.stringify(timeless(value));
}

function timeless(value) {
  if (Array.isArray(value)) return value.map(timeless);
  if (value instanceof Date) return moment(value);
  if (value && typeof value === "object") {
    return Object.fromEntries(
      Object.keys(value).sort().map((key) => [key, timeless(value[key])]),
    );
  }
  if (typeof value === "bigint") return String(value);
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT/.test(value)) return moment(value);
  return value;
}
