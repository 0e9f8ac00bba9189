// pg-boss: a batch goes to one handler and is completed as one; it listens, and does not pause between full batches.
const { PgBoss } = require("pg-boss");
const { main } = require("./adapter.cjs");

const QUEUE = "noop";
const CONNECTIONS = 8;

const client = async (connections, useListenNotify = false) => {
  const boss = new PgBoss({
    host: process.env.PGHOST,
    user: process.env.PGUSER,
    database: process.env.PGDATABASE,
    max: connections,
    useListenNotify,
    supervise: false,
    schedule: false,
  });
  boss.on("error", console.error);
  return boss.start();
};

main({
  client,
  install: async () => (await client(4)).createQueue(QUEUE, { notify: true }),
  enqueue: (boss, number) => boss.send(QUEUE, { number }),
  enqueueMany: (boss, numbers) => boss.insert(QUEUE, numbers.map((number) => ({ data: { number } }))),
  work: async (started) => {
    const boss = await client(CONNECTIONS, true);
    const options = { batchSize: 1000, localConcurrency: 4, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 };
    await boss.work(QUEUE, options, async (jobs) => {
      for (const job of jobs) started(job.data.number);
    });
  },
});
