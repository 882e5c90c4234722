// Runs exported machine configurations in XState, many in one process: JSON lines in, JSON lines out.
//
// In:  {"config": …, "states": {text: [ids in its In tests]}, "start": {answers}, "steps": [{"event": …, "answers": {…}}, …]}
// Out: [{"states": [ids], "actions": [names]}, …], the start first.
//
// Facts are not the machine's: `answers` says, for each step, what every guard's expression comes to, by its text and,
// where it asks In('state'), by those answers too ("text|10").
import { createInterface } from 'node:readline';
import { and, createMachine, initialTransition, not, or, stateIn, transition } from 'xstate';

let answers = {};

function expression(text, states) {
  // One guard for each way in which the In tests of the expression can come out.
  let ways = [[]];
  for (const state of states) ways = ways.flatMap((way) => [[...way, [state, true]], [...way, [state, false]]]);
  const asked = ways.map((way) => {
    const key = [text, way.map(([, inside]) => (inside ? '1' : '0')).join('')].join('|');
    const conditions = way.map(([state, inside]) => (inside ? stateIn(`#${state}`) : not(stateIn(`#${state}`))));
    return and([...conditions, () => answers[key] === true]);
  });
  return asked.length === 1 ? asked[0] : or(asked);
}

function guard({ params }, statesOf) {
  const conditions = [];
  if (params.bus) conditions.push(({ event }) => !event.type.startsWith('xstate.'));
  if (params.beyond) conditions.push(({ event }) => event.type !== params.beyond);
  if (params.cond !== undefined) conditions.push(expression(params.cond, statesOf(params.cond)));
  if (params.unless !== undefined) conditions.push(not(expression(params.unless, statesOf(params.unless))));
  return and(conditions);
}

function provide(node, statesOf) {
  if (Array.isArray(node)) return node.map((part) => provide(part, statesOf));
  if (node === null || typeof node !== 'object') return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, part]) => [
      key,
      key === 'guard' ? guard(part, statesOf) : key === 'invoke' || key === 'meta' ? undefined : provide(part, statesOf),
    ]),
  );
}

// A timer whose delay is no plain number has a name, and its milliseconds beside it.
function delays(node, found = {}) {
  for (const [name, timer] of Object.entries(node.after ?? {})) {
    if (timer.meta.phasebus.ms !== undefined) found[name] = timer.meta.phasebus.ms;
  }
  for (const child of Object.values(node.states ?? {})) delays(child, found);
  return found;
}

function ids(snapshot) {
  return snapshot._nodes.map((node) => node.id).filter((id) => id !== snapshot.machine.id);
}

function run({ config, states, start, steps }) {
  const machine = createMachine(provide(config, (text) => states[text] ?? []), { delays: delays(config) });
  const name = ({ type, params }) => (type === 'call' ? params.name : type === 'publish' ? params.event : undefined);
  const seen = (snapshot, actions) => ({ states: ids(snapshot), actions: actions.map(name).filter((n) => n !== undefined) });
  answers = start;
  let [snapshot, actions] = initialTransition(machine);
  const results = [seen(snapshot, actions)];
  for (const step of steps) {
    answers = step.answers;
    [snapshot, actions] = transition(machine, snapshot, { type: step.event });
    results.push(seen(snapshot, actions));
  }
  return results;
}

for await (const line of createInterface({ input: process.stdin })) {
  let result;
  try {
    result = run(JSON.parse(line));
  } catch (error) {
    result = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(JSON.stringify(result) + '\n');
}
