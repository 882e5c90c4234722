// The picture: what is active is lit, arrows that can be taken are marked, and it is moved and zoomed.

const NEAREST = 60; // points across the view
const FARTHEST = 6; // times the picture
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz';
const ARIAL_WIDTH = 1272.6; // of these letters, at 100 pixels

class Picture {
  constructor(holder, table, chosen) {
    this.holder = holder;
    this.table = table;
    this.svg = holder.querySelector('svg');
    this.svg.setAttribute('preserveAspectRatio', 'xMidYMid meet');
    this.svg.removeAttribute('width');
    this.svg.removeAttribute('height');
    this.svg.setAttribute('role', 'img');
    const box = this.svg.viewBox.baseVal;
    this.whole = { x: box.x, y: box.y, width: box.width, height: box.height };
    this.moved = this.svg.querySelector('g.graph').transform.baseVal.consolidate().matrix;
    this.shapes = new Map();
    for (const group of this.svg.querySelectorAll('g.node, g.cluster')) {
      const title = group.querySelector('title').textContent;
      if (title === 'cluster_') group.classList.add('chart');
      this.shapes.set(group.classList.contains('cluster') ? title.replace(/^cluster_/, '') : title, group);
    }
    for (const title of this.svg.querySelectorAll('title')) title.remove(); // else each is a tooltip
    this.measure();
    this.arrows = new Map();
    for (const name of new Set(table.data.arrows)) {
      const arrow = name && this.svg.getElementById(name);
      if (arrow) this.arrows.set(name, arrow);
    }
    for (const [name, arrow] of this.arrows) arrow.addEventListener('click', () => this.wasDragged || chosen(name));
    this.listen();
    this.fit();
  }

  // The picture was laid out for Arial. Where that is missing and letters are wider, they are made smaller.
  measure() {
    const canvas = document.createElement('canvas').getContext('2d');
    canvas.font = '100px Arial, Helvetica, "Liberation Sans", sans-serif';
    const wider = canvas.measureText(ALPHABET).width / ARIAL_WIDTH;
    if (!(wider > 1.02)) return;
    for (const text of this.svg.querySelectorAll('text')) {
      text.setAttribute('font-size', (Number.parseFloat(text.getAttribute('font-size')) / wider).toFixed(2));
    }
  }

  // -- what is lit --

  show(position, arrows) {
    const active = new Set(this.table.configuration(position));
    const leaves = new Set(this.table.leaves(position.fields));
    for (const [name, shape] of this.shapes) {
      shape.classList.toggle('active', active.has(name));
      shape.classList.toggle('leaf', leaves.has(name));
    }
    const last = position.story;
    const taken = new Set(last.told.flatMap((step) => step.transitions ?? []).map((n) => this.table.data.arrows[n]));
    for (const [name, arrow] of this.arrows) {
      arrow.classList.toggle('possible', arrows.has(name));
      arrow.classList.toggle('taken', taken.has(name));
    }
    this.svg.setAttribute('aria-label', `Picture of the chart, with ${[...leaves].join(' and ') || 'nothing'} lit`);
    this.follow(leaves);
  }

  hint(names) {
    for (const [name, arrow] of this.arrows) arrow.classList.toggle('hinted', names.has(name));
  }

  // -- where one looks --

  look(box) {
    const most = Math.max(this.whole.width, this.whole.height);
    const width = Math.min(Math.max(box.width, NEAREST), most * FARTHEST);
    const scale = width / box.width;
    this.box = {
      x: Math.min(Math.max(box.x + (box.width - width) / 2, -width / 2), this.whole.width - width / 2),
      y: Math.min(Math.max(box.y + (box.height * (1 - scale)) / 2, (-box.height * scale) / 2), this.whole.height),
      width,
      height: box.height * scale,
    };
    this.svg.setAttribute('viewBox', `${this.box.x} ${this.box.y} ${this.box.width} ${this.box.height}`);
  }

  // All of the chart; as wide as it is, where that would be too small to read.
  fit() {
    const chart = this.chart();
    const { width, height } = this.holder.getBoundingClientRect();
    const readable = 0.55; // pixels a point
    const scale = Math.min(width / chart.width, height / chart.height, 1.6);
    if (scale >= readable || !width) {
      const [w, h] = [width / scale || chart.width, height / scale || chart.height];
      this.look({ x: chart.x + (chart.width - w) / 2, y: chart.y + (chart.height - h) / 2, width: w, height: h });
      return;
    }
    const closer = Math.min(Math.max(width / chart.width, readable), 1);
    const [w, h] = [width / closer, height / closer];
    const x = w > chart.width ? chart.x + (chart.width - w) / 2 : chart.x;
    this.look({ x, y: h > chart.height ? chart.y + (chart.height - h) / 2 : chart.y, width: w, height: h });
    this.follow(this.leaves ?? new Set());
  }

  // The states and arrows, without the words above and below them.
  chart() {
    const shapes = [...this.shapes].filter(([name]) => name).map(([, shape]) => this.bounds(shape));
    const boxes = [...shapes, ...[...this.arrows.values()].map((arrow) => this.bounds(arrow, true))];
    if (!boxes.length) return this.whole;
    const x = Math.min(...boxes.map((box) => box.x)) - 8;
    const y = Math.min(...boxes.map((box) => box.y)) - 24; // a dot and an arrow lead to the first state
    const right = Math.max(...boxes.map((box) => box.x + box.width)) + 8;
    const bottom = Math.max(...boxes.map((box) => box.y + box.height)) + 8;
    return { x, y, width: right - x, height: bottom - y };
  }

  // Keep what is active in sight.
  follow(leaves) {
    this.leaves = leaves;
    const boxes = [...leaves].map((name) => this.bounds(this.shapes.get(name))).filter(Boolean);
    if (!boxes.length || !this.box) return;
    const left = Math.min(...boxes.map((box) => box.x));
    const top = Math.min(...boxes.map((box) => box.y));
    const right = Math.max(...boxes.map((box) => box.x + box.width));
    const bottom = Math.max(...boxes.map((box) => box.y + box.height));
    const { x, y, width, height } = this.box;
    if (left >= x && top >= y && right <= x + width && bottom <= y + height) return;
    this.look({ ...this.box, x: (left + right - width) / 2, y: (top + bottom - height) / 2 });
  }

  zoom(factor, at) {
    const { x, y, width, height } = this.box;
    const [px, py] = at ? this.point(at) : [x + width / 2, y + height / 2];
    this.look({
      x: px - (px - x) / factor,
      y: py - (py - y) / factor,
      width: width / factor,
      height: height / factor,
    });
  }

  pan(dx, dy) {
    this.look({ ...this.box, x: this.box.x + dx, y: this.box.y + dy });
  }

  // -- details --

  // Where a shape is, in the units of the view; `all` with the words beside it.
  bounds(shape, all = false) {
    if (!shape) return undefined;
    const part = (!all && shape.querySelector('path, polygon, ellipse')) || shape;
    const { x, y, width, height } = part.getBBox();
    return { x: x + this.moved.e, y: y + this.moved.f, width, height };
  }

  point({ clientX, clientY }) {
    const outer = this.holder.getBoundingClientRect();
    const scale = this.scale();
    const { x, y, width, height } = this.box;
    return [
      x + width / 2 + (clientX - outer.left - outer.width / 2) / scale,
      y + height / 2 + (clientY - outer.top - outer.height / 2) / scale,
    ];
  }

  scale() {
    const outer = this.holder.getBoundingClientRect();
    return Math.min(outer.width / this.box.width, outer.height / this.box.height) || 1;
  }

  listen() {
    const fingers = new Map();
    this.holder.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), event);
    }, { passive: false });
    this.holder.addEventListener('pointerdown', (event) => {
      if (event.target.closest('button')) return;
      fingers.set(event.pointerId, event);
      this.wasDragged = false;
    });
    this.holder.addEventListener('pointermove', (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const others = [...fingers.values()].filter((one) => one.pointerId !== event.pointerId);
      if (others.length) {
        const apart = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
        this.zoom(apart(event) / (apart(before) || 1), others[0]);
      } else {
        const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
        if (!this.wasDragged && Math.hypot(dx, dy) < 4) return;
        this.wasDragged = true;
        this.holder.setPointerCapture(event.pointerId);
        this.pan(-dx / this.scale(), -dy / this.scale());
      }
      fingers.set(event.pointerId, event);
    });
    for (const end of ['pointerup', 'pointercancel']) {
      this.holder.addEventListener(end, (event) => fingers.delete(event.pointerId));
    }
    this.holder.addEventListener('keydown', (event) => this.pressed(event));
    new ResizeObserver(() => this.fit()).observe(this.holder);
  }

  pressed(event) {
    if (event.target !== this.holder) return;
    const step = this.box.width / 10;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (moves[event.key]) this.pan(...moves[event.key]);
    else if (event.key === '+' || event.key === '=') this.zoom(1.25);
    else if (event.key === '-') this.zoom(0.8);
    else if (event.key === '0') this.fit();
    else return;
    event.preventDefault();
  }
}
