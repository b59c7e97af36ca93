"""What a model read: attributions of bases, and the motifs behind them."""
