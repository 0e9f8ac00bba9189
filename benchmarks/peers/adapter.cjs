// What each adapter for a JavaScript peer has in common: its commands, and what it prints. adapter.py tells them.
const { setTimeout: sleep } = require("node:timers/promises");

const BATCH = 1000;
const TOLD = 500;

const tell = (...words) => process.stdout.write(`${words.join(" ")}\n`);
const now = () => (performance.timeOrigin + performance.now()) / 1000;
const range = (first, end) => Array.from({ length: end - first }, (_, index) => first + index);

const commands = {
  async install(adapter) {
    await adapter.install();
  },

  async bulk(adapter, jobs) {
    const client = await adapter.client(1);
    const began = now();
    for (let first = 0; first < jobs; first += BATCH) {
      await adapter.enqueueMany(client, range(first, Math.min(jobs, first + BATCH)));
    }
    tell("rate", jobs / (now() - began));
  },

  async call(adapter, callers, seconds) {
    const client = await adapter.client(callers);
    const began = now();
    let calls = 0;
    const caller = async () => {
      while (now() < began + seconds) {
        await adapter.enqueue(client, calls);
        calls += 1;
      }
    };
    await Promise.all(range(0, callers).map(caller));
    tell("rate", calls / (now() - began));
  },

  async send(adapter, jobs, gap) {
    const client = await adapter.client(1);
    for (let number = 0; number < jobs; number += 1) {
      await adapter.enqueue(client, number);
      tell("sent", number, now());
      await sleep(1000 * gap);
    }
  },

  async work(adapter) {
    let handled = 0;
    await adapter.work(() => {
      if (handled === 0) tell("first", now());
      handled += 1;
      if (handled % TOLD === 0) tell("handled", TOLD);
    });
    await new Promise(() => {});
  },

  async trace(adapter) {
    await adapter.work((number) => tell("started", number, now()));
    await new Promise(() => {});
  },
};

// An adapter has: install(), client(connections), enqueue(client, number), enqueueMany(client, numbers), and
// work(started), whose handler calls started(number).
exports.main = async (adapter) => {
  const [command, ...words] = process.argv.slice(2);
  await commands[command](adapter, ...words.map(Number));
  process.exit(0); // whatever its pools still hold open
};
