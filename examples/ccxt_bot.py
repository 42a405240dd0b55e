"""A bot of ccxt, unmodified but for its URL: it bids for the cheapest call of SOL, one tick above the best bid.

    python ccxt_bot.py http://127.0.0.1:8765 CLIENT_ID SECRET 10

`exchange account secret ccxt-bot` makes a key for an account, and prints its client id and its secret.
"""

import sys
import time

import ccxt

AMOUNT = 1


def main(url: str, client_id: str, secret: str, rounds: int) -> None:
    exchange = ccxt.deribit({"apiKey": client_id, "secret": secret})
    exchange.urls["api"] = {"rest": url}
    markets = exchange.load_markets().values()
    calls = [one["symbol"] for one in markets if one["base"] == "SOL" and one["optionType"] == "call"]
    asks = {symbol: exchange.fetch_ticker(symbol)["ask"] for symbol in calls}
    symbol = min((symbol for symbol in calls if asks[symbol]), key=lambda symbol: asks[symbol])
    tick = exchange.market(symbol)["precision"]["price"]
    print("bidding for", symbol)
    order = None
    for _ in range(rounds):
        ticker = exchange.fetch_ticker(symbol)
        price = float(exchange.price_to_precision(symbol, min((ticker["bid"] or 0) + tick, ticker["ask"])))
        if order is None:
            order = exchange.create_order(symbol, "limit", "buy", AMOUNT, price)
        elif order["price"] < (ticker["bid"] or 0):
            order = exchange.edit_order(order["id"], symbol, "limit", "buy", AMOUNT, price)
        order = exchange.fetch_order(order["id"], symbol)
        print("bid", order["price"], order["status"])
        if order["status"] == "closed":
            print("bought", order["filled"], "at", order["average"])
            return
        time.sleep(1)
    print("no one sold")
    if order is not None:
        exchange.cancel_order(order["id"], symbol)


if __name__ == "__main__":
    _, address, key, its_secret, count = sys.argv
    main(address, key, its_secret, int(count))
