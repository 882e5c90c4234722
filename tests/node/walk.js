// Plays a page at random, by its buttons, and tells what it shows after each step.
([seed, steps]) => {
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const pick = (list) => list[Math.floor(random() * list.length)];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = () => ({
    at: play.now,
    event: play.events.length ? data.labels[play.events.at(-1).label] : null,
    count: play.events.length,
    configuration: all('#configuration li').map((item) => item.textContent),
    dependencies: Object.fromEntries([...table.dependencies(play.position)].map(([name, one]) => [name, one.status])),
    timers: table.isOver(play.position) ? [] : play.position.timers.map((timer) => timer.due),
    facts: table.facts(play.position).filter(([name]) => name.startsWith('visits.') || name.startsWith('meta.')),
    phase: document.getElementById('phase').textContent,
  });
  const log = [seen()];
  for (const details of all('#events details')) details.open = true;
  for (let tries = 0; log.length <= steps && tries < 4 * steps; tries += 1) {
    const kinds = ['#events .event:not(:disabled)', '#events .event.leads', '#timers button', '#facts .mark', 'wait'];
    const kind = pick(kinds);
    if (kind === 'wait') {
      document.getElementById('more').value = (random() * 3).toFixed(3);
      document.querySelector('#until button').click();
    } else {
      const button = pick(all(kind));
      if (!button) continue;
      button.click();
    }
    if (!document.getElementById('beyond').hidden) {
      document.getElementById('undo').click();
      break;
    }
    log.push(seen());
  }
  document.getElementById('scenario').click();
  const told = lastSteps(play.position, Infinity).flatMap((step) => step.told);
  return {
    log,
    published: told.flatMap((one) => one.published ?? []),
    called: told.flatMap((one) => one.called ?? []),
    scenario: document.getElementById('offer-text').value,
  };
}
