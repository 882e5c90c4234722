// Looks rows up. What an event does was worked out when this page was made; nothing is evaluated here.
//
// A position is where a connection stands: the numbers of its fields, the timers that run, and the clock. It is never
// changed: what happens gives another one. Its story is the last step that led there; each step knows the one before
// it, so that thousands share what they have in common.

const MOST_AT_ONCE = 1000; // own events that follow from one another in no time
const MOST_TIMERS = 20000; // firings in one stretch of time

class Table {
  constructor(data) {
    this.data = data;
    this.ended = new Set(data.ended);
    this.heard = data.fields.findIndex((field) => field.kind === 'heard');
    this.timerLabels = data.labels.flatMap((label, number) => (label.name === undefined ? [] : [number]));
    this.eventLabels = data.labels.flatMap((label, number) => (label.kind === 'event' ? [number] : []));
  }

  // Where a connection stands that was just registered.
  begin() {
    const fields = this.data.fields.map(() => 0);
    const position = { fields, timers: [], beside: {}, now: 0, beyond: '', story: null };
    for (const [name] of this.data.dependencies) position.beside[name] = 'pending';
    const outcome = this.data.outcomes[this.data.start];
    const step = { at: 0, kind: 'start', label: -1, told: outcome[1], before: null };
    return this.settled(this.carriedOut({ ...position, fields: written(fields, outcome[0]) }, outcome, step));
  }

  isOver(position) {
    return this.ended.has(position.fields[0]);
  }

  // What a label would do: {beyond} without a row, {nothing}, {endless}, or the fields after it and the outcome.
  look(fields, label) {
    const around = this.data.rows[label]?.[fields[0]];
    const facts = around && found(around, fields);
    if (facts === undefined) return { beyond: true };
    if (facts === 0) return { nothing: true, fields };
    const [chart, ...writes] = facts;
    const learnt = written(fields, writes);
    const row = found(this.data.charts[chart], learnt);
    if (row === undefined) return { beyond: true };
    if (row === -1) return { endless: true, fields };
    const outcome = this.data.outcomes[row];
    return { fields: written(learnt, outcome[0]), outcome };
  }

  // The position after an event, with all that follows from it at once.
  happened(position, label) {
    return this.settled(this.taken(position, label, 'event'));
  }

  // The position at a later time: what is due on the way happens, what is due then included.
  advanced(position, time) {
    let here = position;
    for (let fired = 0; this.due(here) !== undefined && this.due(here).due <= time && !here.beyond; fired += 1) {
      if (fired === MOST_TIMERS) return { ...here, beyond: `more than ${MOST_TIMERS} timers fire in this time` };
      const timer = this.due(here);
      const rest = here.timers.filter((other) => other !== timer);
      here = { ...here, timers: rest, now: Math.max(here.now, timer.due) };
      here = this.settled(this.taken(here, this.timerLabels[timer.timer], 'timer'));
    }
    return here.beyond ? here : { ...here, now: Math.max(here.now, time) };
  }

  // The timer that fires next: of those due together the one that was armed first.
  due(position) {
    if (this.isOver(position)) return undefined;
    return position.timers.reduce(
      (first, timer) => (first === undefined || timer.due < first.due ? timer : first),
      undefined,
    );
  }

  settled(position) {
    let here = position;
    for (let number = 0; here.fields[this.heard] && !here.beyond; number += 1) {
      const [label, rest] = this.data.fields[this.heard].values[here.fields[this.heard]];
      if (label === null || rest === null) return { ...here, beyond: 'what it published comes back' };
      if (number === MOST_AT_ONCE) return { ...here, beyond: 'its own events cause one another without end' };
      here = { ...here, fields: written(here.fields, [this.heard, rest]) };
      if (!this.isOver(here)) here = this.taken(here, label, 'back');
    }
    return here;
  }

  taken(position, label, kind) {
    const looked = this.look(position.fields, label);
    if (looked.beyond) return { ...position, beyond: this.data.labels[label].type ?? 'a timer' };
    const told = looked.endless ? [{ endless: true }] : (looked.outcome?.[1] ?? []);
    const step = { at: position.now, kind, label, told, before: position };
    const beside = looked.endless ? position.beside : this.besideAfter(position.beside, label);
    const here = { ...position, fields: looked.fields, beside };
    return this.carriedOut(here, looked.outcome ?? [[], [], []], step);
  }

  // Timers end and begin, in the order in which the steps of an outcome say so.
  carriedOut(position, outcome, step) {
    let { timers } = position;
    for (const [ends, begins] of outcome[2]) {
      timers = timers.filter((timer) => !ends.includes(this.data.labels[this.timerLabels[timer.timer]].state));
      for (const [timer, seconds] of begins) {
        timers = [...timers, { timer, due: position.now + seconds, since: position.now }];
      }
    }
    const after = { ...position, timers };
    return withStep(after, { ...step, after });
  }

  // Facts that no step reads: what each status becomes stands beside the rows.
  besideAfter(beside, label) {
    const changes = this.data.beside[label];
    if (changes === undefined) return beside;
    const after = { ...beside };
    for (const [name, becomes] of Object.entries(changes)) {
      after[name] = becomes[['pending', 'ready', 'failed'].indexOf(beside[name])];
    }
    return after;
  }

  // -- a position in words --

  // The numbers of the active states, in document order.
  active(fields) {
    return this.data.fields
      .flatMap((field, number) => (field.kind === 'active' ? field.values[fields[number]] : []))
      .sort((one, other) => one - other);
  }

  configuration(position) {
    return this.active(position.fields).map((state) => this.data.states[state][0]);
  }

  // The active states that hold no other.
  leaves(fields) {
    const active = this.active(fields);
    const holders = new Set(active.map((state) => this.data.states[state][1]));
    return active.filter((state) => !holders.has(state)).map((state) => this.data.states[state][0]);
  }

  phase(fields) {
    const numbers = this.data.fields.flatMap((field, number) => (field.kind === 'active' ? [fields[number]] : []));
    return numbers.reduce((node, number) => node?.[number], this.data.phases);
  }

  // The status of every dependency, by name; undefined where it is not known.
  dependencies(position) {
    const known = new Map();
    for (const [name, required] of this.data.dependencies) {
      const number = this.data.fields.findIndex((field) => field.kind === 'dependency' && field.name === name);
      const unseen = number < 0 && this.data.unseen.includes(name);
      const status = number < 0 ? position.beside[name] : this.data.fields[number].values[position.fields[number]];
      known.set(name, { required, status: unseen ? undefined : status });
    }
    return known;
  }

  // Facts remembered, counts of visits, events that wait: name and value of each.
  facts(position) {
    return this.data.fields.flatMap((field, number) => {
      const value = position.fields[number];
      if (field.kind === 'remembered') return [[`meta.${field.name}`, field.values[value]]];
      if (field.kind === 'visits') return [[`visits.${field.name}`, String(value)]];
      if (field.kind === 'deferred' && value) return [['waits', field.values[value].join(', ')]];
      return [];
    });
  }
}

// A position with one more step in its story.
function withStep(position, step) {
  const previous = position.story;
  const events = (previous?.events ?? 0) + (step.kind === 'event' ? 1 : 0);
  return { ...position, story: { ...step, previous, number: (previous?.number ?? 0) + 1, events } };
}

// The last steps that led to a position, the oldest first: those after a number, and at most so many.
function lastSteps(position, most, after = 0) {
  const steps = [];
  for (let step = position.story; step && step.number > after && steps.length < most; step = step.previous) steps.push(step);
  return steps.reverse();
}

function found([reads, rows], fields) {
  let node = rows;
  for (const field of reads) {
    node = node[fields[field]];
    if (node === undefined) return undefined;
  }
  return node;
}

function written(fields, writes) {
  if (!writes.length) return fields;
  const after = [...fields];
  for (let place = 0; place < writes.length; place += 2) after[writes[place]] = writes[place + 1];
  return after;
}
