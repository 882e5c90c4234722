// Puts the page together: one play, shown whole after every change.

const data = JSON.parse(document.getElementById('data').textContent);
const table = new Table(data);
const play = new Play(table);
const part = (id) => document.getElementById(id);

let possible = [];

const picture = new Picture(part('picture'), table, (arrow) => {
  const events = possible.filter((one) => one.arrows.has(arrow));
  if (events.length === 1) play.act(events[0].label);
  else if (events.length) part('events').querySelector(`[data-key="event ${events[0].label}"]`).focus();
});

const slider = part('time');

function show() {
  const position = play.position;
  possible = possibilities(table, position);
  showEvents(part('events'), possible, (label) => play.act(label), (arrows) => picture.hint(arrows));
  showTimers(part('timers'), table, position, (timer) => play.waitUntil(whenDue(timer.due)));
  showFacts(part('facts'), table, position, (label) => play.act(label));
  showConfiguration(part('configuration'), table, position);
  showTrace(part('trace'), play, (applied, at) => (applied === null ? play.seek(whenDue(at)) : play.goTo(applied)));
  picture.show(position, new Set(possible.flatMap((one) => [...one.arrows])));
  showTime(position);
  part('undo').disabled = !play.canUndo;
  part('redo').disabled = !play.canRedo;
  part('next').disabled = table.due(position) === undefined || Boolean(position.beyond);
  part('phase').textContent = table.phase(position.fields) || (table.isOver(position) ? 'ended' : '–');
  part('over').hidden = !table.isOver(position);
  part('beyond').hidden = !position.beyond;
  part('beyond-what').textContent = position.beyond;
  say(position);
  if (loaded) remember();
}

function showTime(position) {
  const last = Math.max(play.now, play.events.at(-1)?.at ?? 0);
  const due = Math.max(0, ...position.timers.map((timer) => timer.due));
  // While it is dragged its end stays where it is.
  if (!slider.matches(':active')) slider.max = Math.min(Math.max(last, due, 10) * 1.1, LONGEST);
  slider.step = slider.max > 1000 ? 1 : 0.01;
  slider.value = play.now;
  slider.setAttribute('aria-valuetext', seconds(play.now));
  part('now').textContent = seconds(play.now);
  const times = [...play.events.map((event) => [event.at, 'event']), ...lastSteps(position, MOST_SHOWN).filter((step) => step.kind === 'timer').map((step) => [step.at, 'timer'])];
  const marks = times.map(([at, kind]) => {
    const mark = element('span', { class: kind });
    mark.style.left = `${(100 * at) / slider.max}%`;
    return mark;
  });
  part('marks').replaceChildren(...marks);
}

let said = '';

// For whoever listens: what came last and where that led, when it has changed.
function say(position) {
  const last = position.story;
  const what = titleOf(table, last);
  const leaves = table.leaves(position.fields).join(' and ') || 'no state';
  const text = `${what}. ${consequences(table, last).join(', ')}. Now in ${leaves}, at ${seconds(play.now)}.${position.beyond ? ' This is beyond the table.' : ''}`;
  if (text !== said) part('announce').textContent = text;
  said = text;
}

// -- sharing --

let wrote = '';

function remember() {
  const text = fragment(play, data);
  if (text === wrote) return;
  wrote = text;
  try {
    history.replaceState(null, '', text);
  } catch {
    location.hash = text; // where a page may not change its own address
  }
}

function recall() {
  const read = readFragment(location.hash, data);
  part('notice').hidden = !read?.problem;
  part('notice').textContent = read?.problem ?? '';
  if (read) play.load(read.events, read.now);
  return read !== null;
}

function offer(title, text, file) {
  part('offer-title').textContent = title;
  part('offer-text').value = text;
  part('save').hidden = !file;
  part('save').onclick = () => {
    const link = element('a', { href: URL.createObjectURL(new Blob([text], { type: 'text/yaml' })), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  part('offer').showModal();
  part('offer-text').select();
  copy(text);
}

async function copy(text) {
  let done = false;
  try {
    await navigator.clipboard.writeText(text);
    done = true;
  } catch {
    part('offer-text').select();
    done = document.execCommand('copy');
  }
  part('copied').textContent = done ? 'Copied.' : 'Select it and copy it.';
}

// -- buttons and keys --

const acts = {
  undo: () => play.undo(),
  redo: () => play.redo(),
  restart: () => play.restart(),
  next: () => play.waitUntil(whenDue(table.due(play.position).due)),
  'zoom-in': () => picture.zoom(1.3),
  'zoom-out': () => picture.zoom(1 / 1.3),
  'zoom-fit': () => picture.fit(),
  scenario: () => offer('This play as a scenario', scenarioText(play, data), `${data.name}_played.scenario.yaml`),
  link: () => {
    remember();
    offer('A link to this state of play', location.href.replace(/#.*$/, '') + fragment(play, data));
  },
  close: () => part('offer').close(),
};
for (const [id, act] of Object.entries(acts)) {
  part(id).addEventListener('click', () => {
    act();
    // A button that has nothing more to do must not swallow the keyboard.
    if (part(id).disabled) part('events-title').focus({ preventScroll: true });
  });
}
part('copy').addEventListener('click', () => copy(part('offer-text').value));
slider.addEventListener('input', () => play.seek(Number(slider.value)));
slider.addEventListener('change', () => showTime(play.position));
part('until').addEventListener('submit', (event) => {
  event.preventDefault();
  const more = part('more').valueAsNumber;
  if (more > 0) play.waitUntil(play.now + more);
});
document.addEventListener('keydown', (event) => {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.matches('input, textarea')) return;
  const key = event.key.toLowerCase();
  if (key === 'z' && !event.shiftKey) play.undo();
  else if (key === 'y' || (key === 'z' && event.shiftKey)) play.redo();
  else return;
  event.preventDefault();
});
window.addEventListener('hashchange', () => decoded(location.hash) !== wrote && recall());

// -- the beginning --

let loaded = false;
const { tried, complete, depth, rows } = data.bound;
part('bound').textContent = complete
  ? `All of it: ${tried.toLocaleString('en')} cases (timers aside), in ${rows.toLocaleString('en')} rows.`
  : `Not all of it: the ${tried.toLocaleString('en')} cases nearest to the start, in ${rows.toLocaleString('en')} rows. ` +
    `Whatever takes at most ${depth} steps is here, and much that takes more. Beyond, the page says so and stops.`;
part('unseen').hidden = !data.unseen.length;
part('unseen').textContent = `Not shown, since no step depends on it: ${data.unseen.join(', ')}.`;
part('story').hidden = !data.story.description;
part('story').textContent = data.story.description;
play.changed = show;
if (!recall()) {
  play.load(data.story.events.map(([at, label]) => ({ at, label })), data.story.until);
}
loaded = true;
