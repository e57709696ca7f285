// A host's control requests to the device that rp2040js runs, in the order in which Linux enumerates a serial line.
//
// A line on stdout for each: the request, the bytes of its answer, the data toggles of the packets after it (or "refused"), and
// the address that the device then has. rp2040js knows neither toggles nor refusals; they are read from the controller's registers.
const CONTROL_IN = 0x80;
const CONTROL_OUT = 0x84;
const TO_HOST = 0x80;
const DATA_1 = 1 << 13;
const AVAILABLE = 1 << 10;
const STALL_ARMED = 3;

const REQUESTS = [
  ['80 06 00 01 00 00 40 00'], // the device, before it has an address
  ['00 05 07 00 00 00 00 00'], // address 7
  ['80 06 00 01 00 00 12 00'],
  ['80 06 00 06 00 00 0a 00'], // what it would be at high speed: nothing
  ['80 06 00 02 00 00 09 00'],
  ['80 06 00 02 00 00 ff 00'],
  ['80 06 00 03 00 00 ff 00'],
  ['80 06 01 03 09 04 ff 00'],
  ['80 06 02 03 09 04 ff 00'],
  ['80 06 03 03 09 04 ff 00'],
  ['80 06 04 03 09 04 ff 00'],
  ['00 09 02 00 00 00 00 00'], // there is no configuration 2
  ['00 09 01 00 00 00 00 00'],
  ['80 08 00 00 00 00 01 00'],
  ['80 00 00 00 00 00 02 00'],
  ['a1 21 00 00 00 00 07 00'],
  ['21 20 00 00 00 00 07 00', '00 10 0e 00 00 00 08'], // 921600 bit/s
  ['a1 21 00 00 00 00 07 00'],
  ['21 22 03 00 00 00 00 00'],
  ['02 01 00 00 82 00 00 00'], // the end of a halt
  ['21 23 ff ff 00 00 00 00'], // a break, which the descriptor does not offer
];

const fromHex = (text) => Uint8Array.from(text.split(' '), (byte) => parseInt(byte, 16));
const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

// Ask all of it and end the process.
export const ask = (usb) => {
  let at = -1;
  let answer = [];
  let toggles = '';

  const next = () => {
    if (at >= 0) console.log(`${REQUESTS[at][0]} : ${toHex(answer)} : ${toggles} : ${usb.addrEndp}`);
    at += 1;
    answer = [];
    toggles = '';
    usb.epStallArm = 0;
    if (at === REQUESTS.length) process.exit(0);
    usb.sendSetupPacket(fromHex(REQUESTS[at][0]));
  };

  const updated = usb.DPRAMUpdated.bind(usb);
  usb.DPRAMUpdated = (offset, value) => {
    const isControl = offset === CONTROL_IN || offset === CONTROL_OUT;
    if (isControl && value & AVAILABLE) toggles += value & DATA_1 ? '1' : '0';
    updated(offset, value);
    if (offset === CONTROL_OUT && usb.epStallArm === STALL_ARMED) {
      toggles = 'refused';
      setTimeout(next, 1);
    }
  };

  usb.onUSBEnabled = () => usb.resetDevice();
  usb.onResetReceived = next;
  usb.onEndpointWrite = (endpoint, packet) => {
    answer.push(...packet);
    if (!(fromHex(REQUESTS[at][0])[0] & TO_HOST)) setTimeout(next, 1); // the empty packet that ends it
  };
  usb.onEndpointRead = (endpoint) => {
    if (endpoint !== 0) return;
    const data = REQUESTS[at][1];
    usb.endpointReadDone(0, data ? fromHex(data) : new Uint8Array(0));
    if (!data) setTimeout(next, 1);
  };
};
