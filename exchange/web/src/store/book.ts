// The book of one instrument: a snapshot, then the levels that changed.
import type { Message } from "../api/connection";
import type { BookLevel, OrderBookResult } from "../api/types";

export interface Book {
  bids: BookLevel[];
  asks: BookLevel[];
  seq: number;
  /** The prices that new orders may have; null without an index price. */
  min_price?: number | null;
  max_price?: number | null;
}

interface BookMessage {
  type: "snapshot" | "change";
  seq: number;
  bids: BookLevel[];
  asks: BookLevel[];
}

export function bookOf(asked: OrderBookResult): Book {
  return asked;
}

export function foldBook(book: Book, message: Message): Book {
  const data = message.data as BookMessage;
  if (data.type === "snapshot") return { ...book, bids: data.bids, asks: data.asks, seq: data.seq };
  if (data.seq <= book.seq) return book;
  return {
    ...book,
    seq: data.seq,
    bids: merge(book.bids, data.bids, (a, b) => b.price - a.price),
    asks: merge(book.asks, data.asks, (a, b) => a.price - b.price),
  };
}

function merge(levels: BookLevel[], changed: BookLevel[], order: (a: BookLevel, b: BookLevel) => number): BookLevel[] {
  const merged = new Map(levels.map((it) => [it.price, it]));
  for (const level of changed) {
    if (level.size === 0) merged.delete(level.price);
    else merged.set(level.price, level);
  }
  return [...merged.values()].sort(order);
}
