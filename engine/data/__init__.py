"""Dataset references and the rows behind them."""
