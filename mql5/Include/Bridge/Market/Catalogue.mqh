//+------------------------------------------------------------------+
//|                                                    Catalogue.mqh |
//|                                                   mt5-zmq-bridge |
//+------------------------------------------------------------------+
// The terminal's symbols as the relay asks for them: which there are, and their properties as
// msgpack maps. Names are those of MetaQuotes' Python package (docs/reference/bus-protocol.md).
// What must change together: this file, bridge/model/symbol.py and bridge/sim/market.py.

#ifndef BRIDGE_MARKET_CATALOGUE_MQH
#define BRIDGE_MARKET_CATALOGUE_MQH

#include <Bridge/Wire/MsgPack.mqh>

//+------------------------------------------------------------------+
//| Lists and descriptions of symbols                                |
//+------------------------------------------------------------------+
class CCatalogue
  {
private:
   CMsgPackWriter   *m_writer;

   void              Whole(const string key,const string symbol,const ENUM_SYMBOL_INFO_INTEGER property);
   void              Flag(const string key,const string symbol,const ENUM_SYMBOL_INFO_INTEGER property);
   void              Real(const string key,const string symbol,const ENUM_SYMBOL_INFO_DOUBLE property);
   void              Text(const string key,const string symbol,const ENUM_SYMBOL_INFO_STRING property);
   static bool       FitsMask(const string name,const string mask);
   static bool       IsChosen(const string name,const string &masks[]);

public:
                     CCatalogue(CMsgPackWriter *writer) : m_writer(writer) { }
   void              Describe(const string symbol);
   void              DescribeInList(const string symbol);
   static bool       Names(const string masks_text,string &names[]);
  };

void CCatalogue::Whole(const string key,const string symbol,const ENUM_SYMBOL_INFO_INTEGER property)
  {
   m_writer.String(key);
   m_writer.Integer(SymbolInfoInteger(symbol,property));
  }

void CCatalogue::Flag(const string key,const string symbol,const ENUM_SYMBOL_INFO_INTEGER property)
  {
   m_writer.String(key);
   m_writer.Boolean(SymbolInfoInteger(symbol,property)!=0);
  }

void CCatalogue::Real(const string key,const string symbol,const ENUM_SYMBOL_INFO_DOUBLE property)
  {
   m_writer.String(key);
   m_writer.Double(SymbolInfoDouble(symbol,property));
  }

void CCatalogue::Text(const string key,const string symbol,const ENUM_SYMBOL_INFO_STRING property)
  {
   m_writer.String(key);
   m_writer.String(SymbolInfoString(symbol,property));
  }

// All properties that quotes and trading need.
void CCatalogue::Describe(const string symbol)
  {
   m_writer.BeginMap(27);
   m_writer.String("name");
   m_writer.String(symbol);
   Text("description",symbol,SYMBOL_DESCRIPTION);
   Text("path",symbol,SYMBOL_PATH);
   Text("currency_base",symbol,SYMBOL_CURRENCY_BASE);
   Text("currency_profit",symbol,SYMBOL_CURRENCY_PROFIT);
   Text("currency_margin",symbol,SYMBOL_CURRENCY_MARGIN);
   Whole("digits",symbol,SYMBOL_DIGITS);
   Real("point",symbol,SYMBOL_POINT);
   Whole("spread",symbol,SYMBOL_SPREAD);
   Flag("spread_float",symbol,SYMBOL_SPREAD_FLOAT);
   Whole("ticks_bookdepth",symbol,SYMBOL_TICKS_BOOKDEPTH);
   Whole("trade_calc_mode",symbol,SYMBOL_TRADE_CALC_MODE);
   Whole("trade_mode",symbol,SYMBOL_TRADE_MODE);
   Whole("trade_exemode",symbol,SYMBOL_TRADE_EXEMODE);
   Whole("filling_mode",symbol,SYMBOL_FILLING_MODE);
   Whole("order_mode",symbol,SYMBOL_ORDER_MODE);
   Whole("expiration_mode",symbol,SYMBOL_EXPIRATION_MODE);
   Whole("trade_stops_level",symbol,SYMBOL_TRADE_STOPS_LEVEL);
   Whole("trade_freeze_level",symbol,SYMBOL_TRADE_FREEZE_LEVEL);
   Real("trade_tick_size",symbol,SYMBOL_TRADE_TICK_SIZE);
   Real("trade_contract_size",symbol,SYMBOL_TRADE_CONTRACT_SIZE);
   Real("volume_min",symbol,SYMBOL_VOLUME_MIN);
   Real("volume_max",symbol,SYMBOL_VOLUME_MAX);
   Real("volume_step",symbol,SYMBOL_VOLUME_STEP);
   Real("volume_limit",symbol,SYMBOL_VOLUME_LIMIT);
   Flag("select",symbol,SYMBOL_SELECT);
   Flag("visible",symbol,SYMBOL_VISIBLE);
  }

// What a list tells of each symbol; the rest is told of one symbol at a time.
void CCatalogue::DescribeInList(const string symbol)
  {
   m_writer.BeginMap(11);
   m_writer.String("name");
   m_writer.String(symbol);
   Text("description",symbol,SYMBOL_DESCRIPTION);
   Text("path",symbol,SYMBOL_PATH);
   Whole("digits",symbol,SYMBOL_DIGITS);
   Real("point",symbol,SYMBOL_POINT);
   Text("currency_base",symbol,SYMBOL_CURRENCY_BASE);
   Text("currency_profit",symbol,SYMBOL_CURRENCY_PROFIT);
   Text("currency_margin",symbol,SYMBOL_CURRENCY_MARGIN);
   Whole("trade_mode",symbol,SYMBOL_TRADE_MODE);
   Flag("select",symbol,SYMBOL_SELECT);
   Flag("visible",symbol,SYMBOL_VISIBLE);
  }

// The names of a group, in the broker's order: masks separated by commas, "*" for any text, "!"
// before a mask whose symbols are left out; the order of the masks counts.
bool CCatalogue::Names(const string masks_text,string &names[])
  {
   string masks[];
   int at=0;
   while(at>=0)
     {
      const int comma=StringFind(masks_text,",",at);
      const int end=(comma<0 ? StringLen(masks_text) : comma);
      string mask="";
      if(end>at)
         mask=StringSubstr(masks_text,at,end-at);
      StringTrimLeft(mask);
      StringTrimRight(mask);
      const int total=ArraySize(masks);
      if(ArrayResize(masks,total+1,16)!=total+1)
         return(false);
      masks[total]=mask;
      at=(comma<0 ? -1 : comma+1);
     }
   const int symbols=SymbolsTotal(false);
   int found=0;
   for(int i=0; i<symbols; i++)
     {
      const string name=SymbolName(i,false);
      if(StringLen(name)>0 && IsChosen(name,masks))
        {
         if(ArrayResize(names,found+1,1024)!=found+1)
            return(false);
         names[found]=name;
         found++;
        }
     }
   return(true);
  }

bool CCatalogue::IsChosen(const string name,const string &masks[])
  {
   bool chosen=false;
   for(int i=0; i<ArraySize(masks); i++)
     {
      string mask=masks[i];
      const bool left_out=(StringLen(mask)>0 && StringGetCharacter(mask,0)=='!');
      if(left_out)
         mask=(StringLen(mask)>1 ? StringSubstr(mask,1) : "");
      if(FitsMask(name,mask))
         chosen=!left_out;
     }
   return(chosen);
  }

// The pieces of a mask between its stars are found from left to right: no way back, so a mask full
// of stars costs no more than another.
bool CCatalogue::FitsMask(const string name,const string mask)
  {
   const int size=StringLen(mask);
   const int length=StringLen(name);
   const int first=StringFind(mask,"*");
   if(first<0)
      return(name==mask);
   int last=size-1;
   while(StringGetCharacter(mask,last)!='*')
      last--;
   const int end=length-(size-1-last);
   if(first>end)
      return(false);
   if(first>0 && StringSubstr(name,0,first)!=StringSubstr(mask,0,first))
      return(false);
   if(end<length && StringSubstr(name,end)!=StringSubstr(mask,last+1))
      return(false);
   int at=first;
   int begin=first+1;
   while(begin<=last)
     {
      const int star=StringFind(mask,"*",begin);
      if(star<0)
         return(true);
      if(star>begin)
        {
         const int place=StringFind(name,StringSubstr(mask,begin,star-begin),at);
         if(place<0 || place+star-begin>end)
            return(false);
         at=place+star-begin;
        }
      begin=star+1;
     }
   return(true);
  }

#endif // BRIDGE_MARKET_CATALOGUE_MQH
