// The contrast of every word with what is behind it, as WCAG 2.2 measures it (1.4.3).
() => {
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => {
    const linear = (part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = numbers(colour).map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let here = element; here; here = here.parentElement) {
      const colour = getComputedStyle(here).backgroundColor;
      if (numbers(colour).length < 4 || numbers(colour)[3] > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const ratio = (one, other) => {
    const [darker, lighter] = [light(one), light(other)].sort((a, b) => a - b);
    return (lighter + 0.05) / (darker + 0.05);
  };
  const found = [];
  for (const element of document.querySelectorAll('header *, aside *, .clock *')) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (says && element.checkVisibility() && !element.closest(':disabled, .nothing')) {
      found.push([element.className || element.tagName, ratio(getComputedStyle(element).color, behind(element))]);
    }
  }
  const shape = document.querySelector('#picture .leaf > path');
  const word = document.querySelector('#picture .leaf > text');
  found.push(['picture', ratio(getComputedStyle(word).fill, getComputedStyle(shape).fill)]);
  return found;
}
