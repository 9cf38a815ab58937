"""What Twitch is to us: its addresses, its API and the streamers' permissions."""
