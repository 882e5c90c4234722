// What stands beside the picture. Everything is set as text, never as markup.

function element(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}

// A name that may be broken where its words end.
function broken(text) {
  return text.split(/(?<=[._])/).flatMap((word, number) => (number ? [document.createElement('wbr'), word] : [word]));
}

// Replace what a list holds, and leave the keyboard where it was, or as near to it as can be.
function refill(holder, children, elsewhere) {
  const focused = holder.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key;
  holder.replaceChildren(...children);
  if (!focused) return;
  const folded = 'details:not([open]) > :not(summary) *';
  const buttons = [...holder.querySelectorAll(`[data-key]:not(:disabled):not(${folded})`)];
  (buttons.find((button) => button.dataset.key === key) ?? buttons[0] ?? elsewhere)?.focus({ preventScroll: true });
}

// -- what can happen --

// Every event of the table by what it would do here; of payloads that do the same the first is enough.
function possibilities(table, position) {
  if (position.beyond || table.isOver(position)) return [];
  const seen = new Set();
  const every = table.eventLabels.map((label) => possibility(table, position, label));
  return every
    .filter(({ type, sort, result, looked }) => {
      const key = [type, sort, result, looked.outcome && table.data.outcomes.indexOf(looked.outcome), looked.fields].join();
      return !seen.has(key) && seen.add(key);
    })
    .sort((one, other) => ORDER.indexOf(one.sort) - ORDER.indexOf(other.sort));
}

const ORDER = ['leads', 'tells', 'stays', 'waits', 'beyond', 'endless', 'nothing'];

function possibility(table, position, label) {
  const { type, data } = table.data.labels[label];
  const looked = table.look(position.fields, label);
  const after = looked.beyond ? null : table.happened(position, label);
  const arrows = (looked.outcome?.[1] ?? []).flatMap((step) => step.transitions ?? []).map((n) => table.data.arrows[n]);
  return { label, type, data, looked, arrows: new Set(arrows.filter(Boolean)), ...judged(table, position, looked, after) };
}

function judged(table, position, looked, after) {
  if (looked.beyond || after.beyond) return { sort: 'beyond', result: 'beyond the table' };
  if (looked.endless) return { sort: 'endless', result: 'never settles' };
  const facts = changes(table, position, after);
  const told = looked.outcome?.[1] ?? [];
  const leads = arrived(table, position, after);
  if (leads) return { sort: 'leads', result: leads, facts };
  if (told.some((step) => step.transitions)) return { sort: 'stays', result: 'stays, and acts', facts };
  if (told.some((step) => step.deferral)) return { sort: 'waits', result: 'waits for another state', facts };
  if (facts.length) return { sort: 'tells', result: facts.join(', ') };
  if (after.fields.some((value, number) => value !== position.fields[number])) return { sort: 'tells', result: 'is noted' };
  return { sort: 'nothing', result: 'nothing' };
}

// '→ ready', or what was entered beside what goes on; '' if the same states are active.
function arrived(table, before, after) {
  const old = new Set(table.leaves(before.fields));
  const now = table.leaves(after.fields);
  const entered = now.filter((state) => !old.has(state));
  const steps = lastSteps(after, Infinity, before.story?.number ?? 0);
  const restarts = steps.some((step) => step.told.some((one) => one.transitions));
  if (!now.length) return '→ the end';
  if (entered.length) return `→ ${entered.join(' + ')}`;
  if (now.length !== old.size) return `→ ${now.join(' + ')}`;
  return restarts && after.timers !== before.timers ? `→ ${now.join(' + ')} anew` : '';
}

function changes(table, before, after) {
  const old = table.dependencies(before);
  const found = [];
  for (const [name, { status }] of table.dependencies(after)) {
    if (status !== old.get(name).status) found.push(`${name} ${status}`);
  }
  const facts = new Map(table.facts(before));
  for (const [name, value] of table.facts(after)) {
    if (name.startsWith('meta.') && facts.get(name) !== value) found.push(`${name} = ${value}`);
  }
  return found;
}

// What is between the braces.
function payloadText(data) {
  return data.slice(1, -1);
}

// `take` lets an event come, `hint` shows its arrows in the picture.
function showEvents(holder, possible, take, hint) {
  const button = (one) => {
    const beyond = one.sort === 'beyond' || one.sort === 'endless';
    const attributes = { class: `event ${one.sort}`, type: 'button', 'data-key': `event ${one.label}`, disabled: beyond };
    const made = element(
      'button',
      { ...attributes, onclick: () => take(one.label) },
      element('span', { class: 'type' }, ...broken(one.type)),
      one.data ? element('span', { class: 'data', text: payloadText(one.data) }) : null,
      element('span', { class: 'result' }, ...broken(one.result)),
    );
    for (const [on, shown] of [['pointerenter', one.arrows], ['focus', one.arrows], ['pointerleave', new Set()], ['blur', new Set()]]) {
      made.addEventListener(on, () => hint(shown));
    }
    return element('li', {}, made);
  };
  const useful = possible.filter((one) => one.sort !== 'nothing');
  const useless = possible.filter((one) => one.sort === 'nothing');
  const more = holder.querySelector('details')?.open ?? false;
  const parts = [];
  if (useful.length) parts.push(element('ul', {}, ...useful.map(button)));
  else parts.push(element('p', { class: 'quiet', text: 'No event leads on from here.' }));
  if (useless.length) {
    const summary = element('summary', { text: `${useless.length} that ${useless.length === 1 ? 'does' : 'do'} nothing here`, 'data-key': 'more' });
    parts.push(element('details', { open: more }, summary, element('ul', {}, ...useless.map(button))));
  }
  refill(holder, parts, document.getElementById('events-title'));
}

// -- timers --

function showTimers(holder, table, position, fire) {
  const running = table.isOver(position) ? [] : [...position.timers].sort((one, other) => one.due - other.due);
  const rows = running.map((timer, place) => {
    const { name, state, target } = table.data.labels[table.timerLabels[timer.timer]];
    const left = timer.due - position.now;
    const where = `${table.data.states[state][0]} ${target ? `→ ${target}` : 'stays'}`;
    return element(
      'li',
      {},
      element(
        'button',
        {
          type: 'button',
          class: 'timer',
          'data-key': `timer ${place}`,
          onclick: () => fire(timer),
          'aria-label': `Let time pass until the timer ${name} of ${where} fires, in ${seconds(left)}`,
        },
        element('span', { class: 'type', text: name }),
        element('span', { class: 'data' }, ...broken(where)),
        element('span', { class: 'result', text: `in ${seconds(left)}` }),
        element('progress', { max: Math.max(timer.due - timer.since, 1e-9), value: position.now - timer.since, 'aria-hidden': 'true' }),
      ),
    );
  });
  const none = element('p', { class: 'quiet', text: 'No timer runs.' });
  refill(holder, rows.length ? [element('ul', {}, ...rows)] : [none], document.getElementById('timers-title'));
}

function seconds(value) {
  if (value >= 60) {
    const rest = +(value % 60).toFixed(3);
    const minutes = Math.floor(value / 60);
    const whole = minutes >= 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${minutes} min`;
    return rest ? `${whole} ${rest} s` : whole;
  }
  return `${+value.toFixed(value < 1 ? 4 : 3)} s`;
}

// -- facts --

const SIGNS = { ready: '✓', failed: '✗', pending: '○' };

// `mark` makes a dependency ready by hand.
function showFacts(holder, table, position, mark) {
  const rows = [];
  const settled = position.beyond || table.isOver(position);
  for (const [name, { status, required }] of table.dependencies(position)) {
    const label = table.data.labels.findIndex((one) => one.kind === 'mark' && one.dependency === name);
    const marks = !settled && status !== 'ready' && !table.look(position.fields, label).beyond;
    const button = { type: 'button', class: 'mark', text: 'mark ready', 'data-key': `mark ${name}`, 'aria-label': `Mark ${name} ready by hand` };
    const hand = marks ? element('button', { ...button, onclick: () => mark(label) }) : null;
    rows.push([name, status ?? 'not in this page', `status ${status ?? ''}`, required ? '' : ' (optional)', hand]);
  }
  for (const [name, value] of table.facts(position)) rows.push([name, value === 'null' ? '–' : value, 'value', '']);
  const terms = rows.map(([name, value, kind, note, hand]) => {
    const sign = SIGNS[value] ? element('span', { 'aria-hidden': 'true', text: `${SIGNS[value]} ` }) : null;
    const term = element('dt', {}, ...broken(name), note ? element('span', { class: 'note', text: note }) : null);
    return element('div', {}, term, element('dd', { class: kind }, hand, sign, value));
  });
  const none = element('p', { class: 'quiet', text: 'There are none.' });
  refill(holder, [terms.length ? element('dl', {}, ...terms) : none], document.getElementById('facts-title'));
}

function showConfiguration(holder, table, position) {
  const leaves = new Set(table.leaves(position.fields));
  const chips = table.configuration(position).map((state) => element('li', { class: leaves.has(state) ? 'leaf' : 'around', text: state }));
  holder.replaceChildren(...(chips.length ? chips : [element('li', { class: 'leaf', text: 'no state' })]));
}

// -- the trace --

const MOST_SHOWN = 500; // steps: a timer may fire thousands of times

function showTrace(holder, play, goTo) {
  const { table } = play;
  const position = play.position;
  const items = [];
  const groups = [];
  const steps = lastSteps(position, MOST_SHOWN);
  for (const step of steps) {
    if (step.kind === 'back' && groups.length) groups.at(-1).push(step);
    else groups.push([step]);
  }
  const earlier = steps[0].number - 1;
  if (earlier) items.push(element('li', { class: 'earlier', text: `${earlier.toLocaleString('en')} earlier steps` }));
  for (const group of groups) {
    const here = group[0].events;
    const isLast = group === groups.at(-1);
    items.push(traceItem(table, group, here, isLast, () => goTo(group[0].kind === 'timer' ? null : here, group[0].at)));
  }
  for (const [place, { at, label }] of play.events.slice(play.applied).entries()) {
    const step = { at, kind: 'event', label, told: [] };
    items.push(traceItem(table, [step], 0, false, () => goTo(play.applied + place + 1, at), true));
  }
  refill(holder, items, document.getElementById('trace-title'));
  // Not scrollIntoView: that would move the page too.
  const current = holder.querySelector('[aria-current]');
  if (current) holder.scrollTop = current.offsetTop + current.offsetHeight / 2 - holder.clientHeight / 2;
}

function traceItem(table, group, here, isLast, go, ahead = false) {
  const [first] = group;
  const label = table.data.labels[first.label];
  const title = titleOf(table, first);
  const lines = ahead ? [] : group.flatMap((step) => consequences(table, step));
  return element(
    'li',
    { class: `step ${first.kind} ${ahead ? 'ahead' : ''}`, 'data-at': first.at },
    element(
      'button',
      {
        type: 'button',
        'data-key': `trace ${first.kind} ${here} ${first.at}`,
        'aria-current': isLast ? 'step' : undefined,
        'aria-label': `${seconds(first.at)}: ${title}${ahead ? ', not yet' : ''}. ${lines.join(', ')}. Go there.`,
        onclick: go,
      },
      element('span', { class: 'at', text: seconds(first.at) }),
      element('span', { class: 'what' }, ...broken(title)),
      label?.data ? element('span', { class: 'data', text: payloadText(label.data) }) : null,
      ...lines.map((line) => element('span', { class: 'line', text: line })),
    ),
  );
}

function titleOf(table, { kind, label }) {
  const { type, name, state, dependency, kind: sort } = table.data.labels[label] ?? {};
  if (kind === 'start') return 'registered';
  if (kind === 'timer') return `timer ${name} of ${table.data.states[state][0]}`;
  return sort === 'mark' ? `${dependency} marked by hand` : type;
}

// What a step did, a line each.
function consequences(table, step) {
  const lines = [];
  if (step.kind === 'back') lines.push(`${table.data.labels[step.label].type} came back`);
  const before = step.before;
  if (before) {
    const leads = arrived(table, before, step.after);
    if (leads) lines.push(leads);
    lines.push(...changes(table, before, step.after));
  } else lines.push(`→ ${table.leaves(step.after.fields).join(' + ') || 'the end'}`);
  for (const told of step.told) {
    if (told.again) lines.push(`${told.again} was sent again`);
    if (told.deferral === 'deferred') lines.push('waits for another state');
    if (told.deferral === 'refused') lines.push('refused: too many wait already');
    if (told.endless) lines.push('refused: the step would never settle');
    if (told.published) lines.push(`publishes ${told.published.join(', ')}`);
    if (told.called) lines.push(`calls ${told.called.join(', ')}`);
    if (told.cancelled) lines.push(`cancels ${told.cancelled.join(', ')}`);
    if (told.invoked) lines.push(`invokes ${told.invoked.join(', ')}`);
  }
  return lines.length || step.kind !== 'event' ? lines : ['nothing'];
}
