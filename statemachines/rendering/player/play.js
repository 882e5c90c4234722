// What was played: events at times, and a place in them. Where a connection stands is always played anew from the start.

const LONGEST = 366 * 24 * 3600; // seconds; a scenario allows no more

class Play {
  constructor(table) {
    this.table = table;
    this.events = []; // {at, label}, in order of time
    this.applied = 0; // so many of them have come
    this.now = 0;
    this.changed = () => {};
    this.known = new Map();
  }

  // -- acts: what comes later is given up --

  act(label) {
    this.events = [...this.events.slice(0, this.applied), { at: this.now, label }];
    this.applied += 1;
    this.moved();
  }

  waitUntil(time) {
    this.events = this.events.slice(0, this.applied);
    this.now = Math.max(this.now, exactly(Math.min(time, LONGEST)));
    this.moved();
  }

  restart() {
    this.load([], 0);
  }

  load(events, now) {
    this.events = events;
    this.applied = events.length;
    this.now = Math.max(now, events.at(-1)?.at ?? 0);
    this.moved();
  }

  // -- looking back and forth: nothing is given up --

  seek(time) {
    this.now = exactly(Math.min(Math.max(time, 0), LONGEST));
    this.applied = this.events.filter((event) => event.at <= this.now).length;
    this.moved();
  }

  goTo(applied) {
    this.applied = applied;
    this.now = applied ? this.events[applied - 1].at : 0;
    this.moved();
  }

  undo() {
    const last = this.applied ? this.events[this.applied - 1].at : 0;
    if (this.now > last) this.now = last;
    else if (this.applied) this.applied -= 1;
    this.moved();
  }

  redo() {
    if (!this.canRedo) return;
    this.now = this.events[this.applied].at;
    this.applied += 1;
    this.moved();
  }

  get canUndo() {
    return this.applied > 0 || this.now > 0;
  }

  get canRedo() {
    return this.applied < this.events.length;
  }

  // -- where it stands --

  get position() {
    return this.table.advanced(this.after(this.applied), this.now);
  }

  // The position just after so many events; remembered, since a slider asks for it all the time.
  after(count) {
    if (count === 0) return this.table.begin();
    const { at, label } = this.events[count - 1];
    const key = this.events.slice(0, count).map((event) => `${event.at}~${event.label}`).join();
    if (!this.known.has(key)) {
      if (this.known.size > 500) this.known.clear();
      const before = this.table.advanced(this.after(count - 1), at);
      this.known.set(key, this.one(before, label));
    }
    return this.known.get(key);
  }

  one(position, label) {
    if (position.beyond) return position;
    if (!this.table.isOver(position)) return this.table.happened(position, label);
    const step = { at: position.now, kind: 'event', label, told: [], before: position, after: position };
    return withStep(position, step);
  }

  moved() {
    this.changed();
  }
}

// Seconds as a scenario can say them, to the nanosecond: what is played here and what is replayed there are the same.
function exactly(seconds) {
  return Number(seconds.toFixed(9));
}

// The first such time at which something is due.
function whenDue(seconds) {
  const near = exactly(seconds);
  return near < seconds ? exactly(near + 1e-9) : near;
}

function secondsText(seconds) {
  return `${seconds.toFixed(9).replace(/\.?0+$/, '')}s`;
}
