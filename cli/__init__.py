"""The `exchange` command.

A command is in the module named by its path, with underscores: `exchange journal bisect` in journal_bisect.py,
`exchange what-if` in what_if.py. If there is no such module, the command is in the module of its group:
`exchange order buy` in order.py.

These modules hold no command of their own:

- main.py puts the commands together and turns exceptions into error messages
- lazy.py is the group that imports a command only when it is needed
- alias.py is a second name for a command
- options.py has the options and argument types that several commands share
- security_options.py has the options that say who may connect to a server
- watch_app.py is the terminal screen of `exchange watch`
- watch_options.py has the options of the metrics and the log
- output.py prints tables, JSON and errors
- sections.py lists the commands of `exchange --help` in sections
- completion.py completes names in a shell
- failures.py reports failures, as text or as JSON
- refusals.py translates refusals of the exchange into options and amounts of the command line
- progress.py is the progress bar of replays
- client.py calls the running exchange
- present.py chooses who answers a question about the present: the running exchange, or the recorded data if none runs
- questions.py has the questions about the present and the shapes of the answers
- present_running.py asks the running exchange
- present_recorded.py answers from the recorded data, also about a past moment
- current_views.py reads the views after a command from the history or the nearest snapshot
- figures.py gives prices the decimals of the tick, and sizes those of the minimum size
- top_figures.py computes rates and latencies from two readings of the metrics
- names.py refuses unknown users and instruments and names the nearest ones
- history_connection.py opens the history for commands that read its tables
- chart_drawing.py draws charts and writes their files
- server_process.py runs a server in the foreground
- security_options.py has the options of a server for access: keys, TLS, browsers, file modes
- ladder.py draws an order book with its last trades
- rule_text.py shows rules in USDC and contracts
- record_text.py shows a recorded command as one line
- reference.py writes docs/cli.md
"""
