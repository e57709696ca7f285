// A Raspberry Pi Pico by rp2040js, with UF2 files in its flash; UART 0, or the serial line over USB, is stdin and stdout.
//
//     node rp2040.mjs FOLDER_OF_RP2040JS FILE.uf2 [uart|usb|deaf|requests]
//
// deaf: a host on USB asks once and fetches no answer; UART 0 is stdin and stdout. requests: rp2040_requests.mjs.
//
// The package has no boot ROM, so a stub of our own stands in: it enters the second stage where it lies in flash.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

import { ask } from './rp2040_requests.mjs';

const [packageFolder, file, line = 'uart'] = process.argv.slice(2);
const { ConsoleLogger, LogLevel, Simulator, USBCDC } = await import(pathToFileURL(`${packageFolder}/dist/esm/index.js`).href);

const FLASH = 0x10000000;
const STACK_TOP = 0x20042000;
const STUB = 8;
const BLOCK_BYTES = 512;
const MAGIC = 0x0a324655;
const HELLO = [0, 2, 1, 2, 1, 1, 1, 5, 99, 21, 34, 194, 0]; // docs/protocol.md: a hello of sequence number 1

const simulator = new Simulator();
const pico = simulator.rp2040;
pico.logger = new ConsoleLogger(LogLevel.Warn); // what is not a warning would go to stdout

const rom = new Uint32Array(4096);
rom[0] = STACK_TOP;
rom[1] = STUB | 1;
rom[STUB / 4] = 0x47004800; // ldr r0, [pc, #0]; bx r0
rom[STUB / 4 + 1] = FLASH | 1;
pico.loadBootrom(rom); // empties the flash, too

const blocks = readFileSync(file);
for (let at = 0; at < blocks.length; at += BLOCK_BYTES) {
  if (blocks.readUInt32LE(at) !== MAGIC) throw new Error(`${file} holds no UF2 block at ${at}`);
  const address = blocks.readUInt32LE(at + 12);
  const bytes = blocks.readUInt32LE(at + 16);
  pico.flash.set(blocks.subarray(at + 32, at + 32 + bytes), address - FLASH);
}

// With PRIMASK set an interrupt ends WFI, at once when it was pending before, and no handler runs (Armv6-M Architecture
// Reference Manual, B1.5.18); rp2040js would enter the handler, and wait for the next interrupt.
const core = pico.core;
let waits = false;
Object.defineProperty(core, 'waiting', {
  get: () => waits,
  set: (value) => {
    waits = value && (core.pendingInterrupts & core.enabledInterrupts) === 0;
  },
});
const check = core.checkForInterrupts.bind(core);
core.checkForInterrupts = () => {
  if (!core.PM || core.pendingNMI) return check();
  core.interruptsUpdated = false;
  return core.waiting && (core.pendingInterrupts & core.enabledInterrupts) !== 0;
};
core.SP = STACK_TOP;
core.PC = STUB;

const waiting = [];
const send = (bytes) => process.stdout.write(Buffer.from(bytes));

const overUart = () => {
  const uart = pico.uart[0];
  uart.onByte = (byte) => send([byte]);
  return () => {
    while (waiting.length > 0 && !uart.rxFIFO.full) uart.feedByte(waiting.shift());
  };
};

// The host of rp2040js enumerates the device; it answers whoever waits for data at once, if need be with an empty packet.
const overUsb = () => {
  const host = new USBCDC(pico.usbCtrl);
  let connected = false;
  host.onDeviceConnected = () => {
    connected = true;
  };
  host.onSerialData = send;
  return () => {
    while (connected && waiting.length > 0 && !host.txFIFO.full) host.sendSerialByte(waiting.shift());
  };
};

// Packets towards the host stay where they are, the first of them included.
const beingDeaf = () => {
  const usb = pico.usbCtrl;
  const ready = usb.indicateBufferReady.bind(usb);
  const host = new USBCDC(usb);
  usb.indicateBufferReady = (endpoint, out) => {
    if (out || endpoint !== host.inEndpoint) ready(endpoint, out);
  };
  host.onDeviceConnected = () => {
    for (const byte of HELLO) host.sendSerialByte(byte);
  };
};

const serve = (feed) => {
  process.stdin.on('data', (bytes) => {
    waiting.push(...bytes);
    feed();
  });
  process.stdin.on('end', () => process.exit(0));
  setInterval(feed, 1);
};

if (line === 'deaf') beingDeaf();
if (line === 'requests') ask(pico.usbCtrl);
else serve(line === 'usb' ? overUsb() : overUart());
simulator.execute();
