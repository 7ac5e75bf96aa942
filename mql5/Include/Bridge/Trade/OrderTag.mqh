//+------------------------------------------------------------------+
//|                                                     OrderTag.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The comment that a command's order gets at the broker: with it the command is found again.
// May touch: nothing.
// What must change together: this file and order_tag in bridge/model/trade.py.

#ifndef BRIDGE_TRADE_ORDERTAG_MQH
#define BRIDGE_TRADE_ORDERTAG_MQH

#include <Bridge/Support/Bytes.mqh>
#include <Bridge/Wire/Hmac.mqh>
#include <Bridge/Trade/Constants.mqh>

//--- of base32, five bits each: 80 bits of SHA-256
#define ORDER_TAG_LETTERS   16
#define ORDER_TAG_ALPHABET  "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// The tag of a command; "" when it cannot be made, which is nobody's tag.
string OrderTag(const string command_id)
  {
   uchar bytes[];
   uchar hash[];
   const int size=TextToUtf8(command_id,bytes);
   // Nothing but the text is hashed: the array may be longer.
   if(size<=0 || ArrayResize(bytes,size)!=size || !CSha256::Hash(bytes,hash)
      || ArraySize(hash)<ORDER_TAG_LETTERS)
      return("");
   string tag=ORDER_TAG_PREFIX;
   uint bits=0;
   int held=0;
   int next=0;
   for(int i=0; i<ORDER_TAG_LETTERS; i++)
     {
      if(held<5)
        {
         bits=(bits<<8)|hash[next];
         next++;
         held+=8;
        }
      held-=5;
      const int letter=(int)((bits>>held) & 31);
      tag+=StringSubstr(ORDER_TAG_ALPHABET,letter,1);
      bits&=(uint)((1<<held)-1);
     }
   return(tag);
  }

#endif // BRIDGE_TRADE_ORDERTAG_MQH
