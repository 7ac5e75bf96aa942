//+------------------------------------------------------------------+
//|                                                       Advice.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// What a person can do about the end of a session, in one sentence.

#ifndef BRIDGE_APP_ADVICE_MQH
#define BRIDGE_APP_ADVICE_MQH

#include <Bridge/Wire/Spec.mqh>

// An empty text: nothing needs to be done, the next connection may simply work.
string AdviceFor(const int code,const string alias)
  {
   switch(code)
     {
      case LOGOUT_REPLACED:
         return("another terminal with a copy of this one's files is connected as '"+alias+"': remove the bridge "
                "from one of the two; tries again in a minute");
      case LOGOUT_DUPLICATE_SESSION:
         return("another terminal is connected with this account: remove the bridge from one of the two");
      case LOGOUT_UNKNOWN_KEY:
         return("the relay knows no terminal '"+alias+"': compare InpAlias with the [terminals] of the relay's configuration");
      case LOGOUT_BAD_RELAY_KEY:
      case LOGOUT_BAD_TERMINAL_KEY:
         return("copy the relay's key of '"+alias+"' (its file keys/"+alias+".key) into InpKey again");
      case LOGOUT_VERSION_MISMATCH:
         return("update the relay or this program: they have no common protocol version");
      case LOGOUT_WRONG_ACCOUNT:
         return("log on to the account that the relay's configuration pins '"+alias+"' to, or change it there");
      case LOGOUT_NOT_DEMO:
         return("the relay takes only demo accounts as '"+alias+"': log on to one, or change its configuration");
      case LOGOUT_STALE_RELAY:
         return("this terminal has seen a newer relay: stop the older one, or move MQL5\\Files\\Bridge away if its data was put back");
      case LOGOUT_SELF_TEST_FAILED:
         return("this terminal's build cannot compute the protocol's hashes: report it with its number");
      case LOGOUT_ROLE_UNSUPPORTED:
         return("the relay does not take sessions of this role: update it");
     }
   return("");
  }

string TradingStateText(const uint state)
  {
   if(state==(uint)TRADING_STATE_ACTIVE)
      return("ACTIVE");
   if(state==(uint)TRADING_STATE_REDUCING)
      return("REDUCING");
   return("HALTED");
  }

// How the session ends when the program does: the code of its LOGOUT, and the text.
int LogoutFor(const int reason,string &text)
  {
   switch(reason)
     {
      case REASON_ACCOUNT:
         text="another account logged on";
         return(LOGOUT_ACCOUNT_CHANGED);
      case REASON_CHARTCHANGE:
      case REASON_PARAMETERS:
      case REASON_RECOMPILE:
      case REASON_TEMPLATE:
         text="the terminal's program is initialised anew";
         return(LOGOUT_REINITIALISED);
     }
   text="the terminal stops";
   return(LOGOUT_SHUTTING_DOWN);
  }

#endif // BRIDGE_APP_ADVICE_MQH
