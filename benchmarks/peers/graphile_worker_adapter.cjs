// graphile-worker, as its guide to performance has it: a local queue, completions in batches, many jobs at once.
const { makeWorkerUtils, run, Logger } = require("graphile-worker");
const { main } = require("./adapter.cjs");

const CONNECTIONS = 16;
const logger = new Logger(() => () => {});
// It wants a URL; where the database is stands in the environment all the same.
const connectionString = "postgresql:///";

const preset = {
  worker: {
    connectionString,
    concurrentJobs: 100,
    maxPoolSize: CONNECTIONS,
    preparedStatements: true,
    pollInterval: 1000,
    localQueue: { size: 1000 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
};

const client = (connections) => makeWorkerUtils({ connectionString, maxPoolSize: connections, logger });

main({
  client,
  install: async () => (await client(1)).migrate(),
  enqueue: (utils, number) => utils.addJob("noop", { number }),
  enqueueMany: (utils, numbers) => utils.addJobs(numbers.map((number) => ({ identifier: "noop", payload: { number } }))),
  work: (started) =>
    run({
      preset,
      logger,
      parsedCronItems: [],
      noHandleSignals: true,
      taskList: { noop: (payload) => started(payload.number) },
    }),
});
