// Calls of ccxt for JavaScript, unmodified but for its URLs, against an exchange. Prints their results as JSON.
//
//     node ccxt_calls.mjs MODULE PORT CLIENT_ID SECRET
//
// MODULE is the file js/ccxt.js of the package. The calls are those of ccxt_calls.py.

const [module, port, clientId, secret] = process.argv.slice(2);
const ccxt = (await import(module)).default;
const PATIENCE_MS = 20_000;

async function trade(exchange, told) {
    const markets = await exchange.loadMarkets();
    const symbol = Object.keys(markets).find((name) => markets[name].option);
    const { id, base, settle, strike, contractSize } = markets[symbol];
    told["market"] = { id, base, settle, strike, contractSize };
    told["ticker"] = await exchange.fetchTicker(symbol);
    told["tickers"] = await exchange.fetchTickers([symbol]);
    told["book"] = await exchange.fetchOrderBook(symbol);
    told["greeks"] = await exchange.fetchGreeks(symbol);
    told["option"] = await exchange.fetchOption(symbol);
    told["chain"] = Object.keys(await exchange.fetchOptionChain("SOL"));
    const watching = {
        order_book: exchange.watchOrderBook(symbol),
        ticker: exchange.watchTicker(symbol),
        bids_asks: exchange.watchBidsAsks([symbol]),
        trades: exchange.watchTrades(symbol),
        my_trades: exchange.watchMyTrades(symbol),
        orders: exchange.watchOrders(symbol),
        ohlcv: exchange.watchOHLCV(symbol, "1m"),
        balance: exchange.watchBalance(),
    };
    // The first message of the account says that all channels before it are subscribed.
    await watching.balance;
    const placed = (told["placed"] = await exchange.createOrder(symbol, "limit", "buy", 1, 1.25));
    told["edited"] = await exchange.editOrder(placed.id, symbol, "limit", "buy", 2, 1.2);
    told["fetched"] = await exchange.fetchOrder(placed.id, symbol);
    told["open"] = await exchange.fetchOpenOrders(symbol);
    told["cancelled"] = await exchange.cancelOrder(placed.id, symbol);
    told["market order"] = await exchange.createOrder(symbol, "market", "buy", 1);
    told["reduced"] = await exchange.createOrder(symbol, "limit", "sell", 0.5, 1.4, { reduceOnly: true });
    try {
        await exchange.createOrder(symbol, "limit", "buy", 1, 1.6, { postOnly: true });
    } catch (error) {
        if (!(error instanceof ccxt.InvalidOrder)) throw error;
        told["post only"] = error.message;
    }
    told["positions"] = await exchange.fetchPositions();
    told["balance"] = await exchange.fetchBalance();
    told["closed"] = (await exchange.fetchClosedOrders(symbol)).map((one) => one.id);
    told["my trades"] = await exchange.fetchMyTrades(symbol);
    told["trades"] = await exchange.fetchTrades(symbol);
    told["candles"] = await exchange.fetchOHLCV(symbol, "1m");
    told["deposits"] = await exchange.fetchDeposits("USDC");
    told["volatilities"] = await exchange.fetchVolatilityHistory("SOL");
    await exchange.cancelAllOrders(symbol);
    told["left"] = await exchange.fetchOpenOrders(symbol);
    for (const [name, message] of Object.entries(watching)) told[`watched ${name}`] = await message;
}

const exchange = new ccxt.pro.deribit({ apiKey: clientId, secret });
exchange.urls["api"] = { rest: `http://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${port}/ws/api/v2` };
// ccxt wants that for an address without TLS.
await exchange.loadHttpProxyAgent();
const told = {};
const patience = setTimeout(() => process.exit(1), PATIENCE_MS);
try {
    await trade(exchange, told);
} finally {
    await exchange.close();
    clearTimeout(patience);
}
process.stdout.write(JSON.stringify(told));
