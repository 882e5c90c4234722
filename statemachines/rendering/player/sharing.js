// A play as a scenario file, and as the fragment of a link.

const CONNECTION = 'conn_1';

// The scenario that `phasebus simulate` and `phasebus test` run: what came, and what is there now. Whatever is not a
// name or a number was written as YAML when this page was made.
function scenarioText(play, data) {
  const lines = [
    `definition: ${data.called}`,
    `description: ${data.story.described}`,
    `connections: {${CONNECTION}: ${data.story.registration}}`,
    'steps:',
  ];
  let time = 0;
  for (const { at, label } of play.events.slice(0, play.applied)) {
    const event = data.labels[label];
    lines.push(event.kind === 'mark' ? `  - mark: ${event.dependency}` : `  - publish: ${event.type}`);
    if (event.data) lines.push(`    data: ${event.data}`);
    if (at !== time) lines.push(`    at: ${secondsText(at)}`);
    time = at;
  }
  const position = play.position;
  if (position.beyond) {
    lines.push(`  - wait: ${secondsText(play.now - time)}`);
  } else {
    lines.push(`  - expect: {configuration: [${play.table.configuration(position).join(', ')}]}`);
    if (play.now !== time) lines.push(`    at: ${secondsText(play.now)}`);
  }
  return `${lines.join('\n')}\n`;
}

// As in #0~webrtc.audio_track_ready,2.5~ai.connection_failed!1&now=30: seconds, event, and which of its payloads.
function fragment(play, data) {
  const events = play.events
    .slice(0, play.applied)
    .map(({ at, label }) => `${at}~${eventKey(data, label)}`)
    .join(',');
  return `#${events}&now=${play.now}`;
}

// The events and the time of a fragment; null if it is none, and `problem` if this page has no such event.
function readFragment(text, data) {
  const match = /^#([^&]*)&now=(\d+(?:\.\d+)?(?:e-\d+)?)$/.exec(decoded(text));
  if (match === null) return null;
  const events = [];
  let time = 0;
  for (const word of match[1] ? match[1].split(',') : []) {
    const [at, key] = word.split('~');
    const label = data.labels.findIndex((_, number) => eventKey(data, number) === key);
    if (label < 0) return { events, now: time, problem: `The link has an event that is not here: ${key}` };
    if (!(Number(at) >= time && Number(at) <= LONGEST)) return { events, now: time, problem: 'The link goes back in time.' };
    time = exactly(Number(at));
    events.push({ at: time, label });
  }
  return { events, now: exactly(Math.min(Number(match[2]), LONGEST)) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function eventKey(data, label) {
  const { kind, type, dependency } = data.labels[label];
  if (kind === 'mark') return `mark:${dependency}`;
  if (kind !== 'event') return '';
  const alike = data.labels.slice(0, label).filter((other) => other.kind === 'event' && other.type === type).length;
  return alike ? `${type}!${alike}` : type;
}
