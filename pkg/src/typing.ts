/** Who is typing in a thread: as a store, and told to the others. */
export { type Typing, type TypingOptions, typing } from "./typing/typing.js";
