// The samples behind the plots. An answer has the newest few; all of them are asked for only if some are missing.

let begun = null, samples = 0, partitions = {};

// Adds what is new and returns all samples by partition.
export async function follow(newest, askForAll) {
  const missing = newest.samples - samples;
  const behind = Math.max(0, ...Object.values(newest.partitions).map((one) => one.rates.length));
  if (newest.begun !== begun || missing < 0 || missing > behind) {
    const all = await askForAll();
    ({ begun, samples, partitions } = all);
    return { kept: all.kept, partitions };
  }
  const append = (old, values) => [...old, ...values.slice(values.length - missing)].slice(-newest.kept);
  partitions = Object.fromEntries(Object.entries(newest.partitions).map(([number, one]) => {
    const old = partitions[number] ?? { rates: [], lags: [] };
    return [number, missing ? { rates: append(old.rates, one.rates), lags: append(old.lags, one.lags) } : old];
  }));
  samples = newest.samples;
  return { kept: newest.kept, partitions };
}
