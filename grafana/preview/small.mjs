// A PNG with 256 colours, a third of the bytes: node small.mjs FROM TO
import {readFileSync, writeFileSync} from 'node:fs';
import UPNG from 'upng-js';

const [from, to] = process.argv.slice(2);
const picture = UPNG.decode(readFileSync(from));
writeFileSync(to, Buffer.from(UPNG.encode(UPNG.toRGBA8(picture), picture.width, picture.height, 256)));
